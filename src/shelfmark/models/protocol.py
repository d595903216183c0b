"""What a family of models provides: the one interface between the rooms above and any classifier.

A family is a folder of this room, such as `boosted/`, and a line in `families.py`.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shelfmark.config.schema import Config, EngineConfig
from shelfmark.core import project
from shelfmark.core.arrays import Floats
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from shelfmark.artifacts.digested import DigestedFiles
    from shelfmark.core.checkpoint import Checkpoint
    from shelfmark.core.npy import ArraySpec
    from shelfmark.data.labels import Targets
    from shelfmark.data.splits import PaperGroups
    from shelfmark.models.card import ModelCard

# Called after each round or epoch with its number and its losses, {"train": …, "validation": …}.
RoundCallback = Callable[[int, dict[str, float]], None]

MOST_WORDS = 12


@dataclass(frozen=True)
class WordWeights:
    """What each word of a text adds to the margin of a class.

    Args:
        category: the class.
        margin: its logit, before the softmax; `base` and all weights add up to it.
        base: the part that no word of the text adds.
        weights: the part that each word adds.
    """

    category: str
    margin: float
    base: float
    weights: dict[str, float]

    def is_finite(self) -> bool:
        """Whether every number is finite, as the trees of a model of other makers need not make."""
        return all(map(math.isfinite, (self.margin, self.base, *self.weights.values())))

    def strongest(self, count: int = MOST_WORDS) -> list[tuple[str, float]]:
        """Return the words of the largest weights either way, the largest first."""
        return sorted(self.weights.items(), key=lambda pair: (-abs(pair[1]), pair[0]))[:count]


@dataclass(frozen=True)
class ReadingCost:
    """About how long a classifier takes for a text among others, in microseconds of one core.

    Args:
        text: for any text.
        character: more for each character that it reads.
        most_characters: that it reads of a text, None for all.
        explanation: more for an explanation.
        explained_character: more for each character of an explained text.
    """

    text: float
    character: float
    most_characters: int | None = None
    explanation: float = 0.0
    explained_character: float = 0.0

    def __add__(self, other: ReadingCost) -> ReadingCost:
        """Return the cost of what reads a text twice; what both read of it counts for both."""
        mosts = [one.most_characters for one in (self, other) if one.most_characters is not None]
        return ReadingCost(
            self.text + other.text,
            self.character + other.character,
            min(mosts, default=None),
            self.explanation + other.explanation,
            self.explained_character + other.explained_character,
        )

    def of(self, characters: int, explained: bool) -> float:
        """Return the cost of a text of so many characters, with an explanation or without."""
        read = characters if self.most_characters is None else min(characters, self.most_characters)
        cost = self.text + self.character * read
        return cost + explained * (self.explanation + self.explained_character * read)


class Vocabulary(Protocol):
    """The words that a classifier knows."""

    def words(self, text: str) -> list[str]:
        """Return the words that the classifier reads of a text, in their order."""

    def unknown_share(self, words: list[str]) -> float | None:
        """Return the share of words that are unknown, None if that is undefined."""

    def frequent(self, count: int) -> list[str]:
        """Return the most frequent words of the training papers, those first."""


class Classifier(Protocol):
    """A trained classifier of any family; texts are cleaned as `Model.text` cleans them."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities' columns."""

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words it knows, None where it has no such list."""

    @property
    def cost(self) -> ReadingCost:
        """About how long a text takes, by which a service shares its time among requests."""

    def probabilities(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        """Return the probabilities of the classes and of the listed categories.

        Shapes: (texts, classes) and (texts, listed); None where no cross-lists are suggested. Both
        are float32, and a class is never listed beside itself.
        """

    def explain(self, text: str, category: str) -> WordWeights | None:
        """Return what each word adds to the margin of a class, None where that is not known.

        Raises:
            ValueError: there is no such class.
        """

    def places(self, text: str, words: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
        """Return where each word stands in the text: from which character to before which."""

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write its files into the folder of an artifact.

        Returns:
            The specification of the array in each .npy file.
        """


@dataclass(frozen=True)
class Fitted:
    """The result of a fit.

    Args:
        classifier: column i of its probabilities belongs to `targets.classes[i]`.
        targets: the classes and the listed categories.
        details: what the family adds to the model card, such as the number of rounds.
        seconds: the time of each part of the fit.
        profile: the files of a profile of the fit, by their names; empty without one.
    """

    classifier: Classifier
    targets: Targets
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    profile: dict[str, bytes] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities' columns."""
        return self.targets.classes


class Family(ABC):
    """Fits and opens the classifiers of one family.

    Attributes:
        kind: its name in the configuration, `model.kind`.
        description: its name for people, as model cards have it.
        libraries: those whose versions must be the ones that wrote a saved classifier.
        files: the names of files that every artifact of the family has.
        needs: the extra of each module that it needs; a command installs it by itself.
        fit_needs: the extra of each module that only a training needs; no command installs it.
        code: the modules and rooms besides its own on which its numbers depend.
    """

    kind: str
    description: str
    libraries: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    needs: dict[str, str] = {}  # noqa: RUF012 - overridden, never changed
    fit_needs: dict[str, str] = {}  # noqa: RUF012 - overridden, never changed
    code: tuple[str, ...] = ()

    def check_installed(self) -> None:
        """Check that the libraries of `needs` are installed.

        Raises:
            ShelfmarkError: one is not; names what installs it.
        """
        project.check_installed(self.needs, f"a model of kind {self.kind}")

    def check_fit_installed(self) -> None:
        """Check that the libraries of `fit_needs` are installed.

        Raises:
            ShelfmarkError: one is not; names what installs it.
        """
        more = "; docs/models.md says what that downloads"
        project.check_installed(self.fit_needs, f"a training of kind {self.kind}", more)

    @abstractmethod
    def fit(
        self,
        config: Config,
        train: PaperGroups,
        validation: PaperGroups,
        callback: RoundCallback,
        checkpoint: Checkpoint | None = None,
        engine: Any = None,
    ) -> Fitted:
        """Fit a classifier on train; validation may stop and calibrate it.

        Args:
            config: the settings; `config.model` is of this family.
            train: papers with text, label and categories; groups are read one at a time.
            validation: papers not trained on.
            callback: called after each round.
            checkpoint: where finished stages are saved and resumed; None to save none.
            engine: as `open_engine` yields it, None for this machine.

        Raises:
            ShelfmarkError: the data or the settings do not allow it.
        """

    @abstractmethod
    def load(self, files: DigestedFiles, card: ModelCard, threads: int | None = None) -> Classifier:
        """Open the classifier of an artifact whose versions and digests have been checked.

        Nothing in the files may run: neither names nor sizes in them are trusted.

        Args:
            files: of the artifact.
            card: the artifact's.
            threads: how many it uses, None for one a core.

        Raises:
            ShelfmarkError: a file is damaged or foreign.
        """

    def load_older(self, files: DigestedFiles, card: ModelCard) -> Classifier:
        """Open the classifier of an artifact of an older format, whose maker has to be trusted.

        Args:
            files: of the artifact, their digests checked.
            card: the artifact's.

        Raises:
            ShelfmarkError: a file is damaged or foreign, or the family had no older format.
        """
        raise ShelfmarkError(f"there were no models of kind {self.kind} of an older format")

    @contextlib.contextmanager
    def open_engine(self, config: EngineConfig) -> Iterator[Any]:
        """Yield the engine of a configuration: what does the work of a fit.

        Raises:
            ShelfmarkError: this family, or this machine, has no such engine.
        """
        if config.kind != "local":
            raise ShelfmarkError(f"engine={config.kind}: model.kind={self.kind} trains locally")
        yield None
