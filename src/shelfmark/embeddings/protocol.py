"""What a family of encoders provides: the one interface between the rooms above and any encoder.

A family is a folder of this room, such as `static/`, and a line in `families.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shelfmark.config.encoders import EncoderSettings
from shelfmark.core import project
from shelfmark.core.arrays import Floats

if TYPE_CHECKING:
    import pyarrow as pa

    from shelfmark.artifacts.digested import DigestedFiles
    from shelfmark.core.checkpoint import Checkpoint
    from shelfmark.core.npy import ArraySpec
    from shelfmark.embeddings.card import EncoderCard

# Called after each epoch with its number and its figures, {"train": …, "validation": …}.
EpochCallback = Callable[[int, dict[str, float]], None]


class Encoder(Protocol):
    """A trained encoder of any family; texts are cleaned as `OpenEncoder.text` cleans them."""

    @property
    def size(self) -> int:
        """The numbers of a vector."""

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, float32 of shape (texts, size).

        A text is a title and an abstract as `join_texts` joins them, or one of the two. A row has
        unit length; that of a text without any term that the encoder knows is zero.
        """

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write its files into the folder of an artifact.

        Returns:
            The specification of the array in each .npy file.
        """


@dataclass(frozen=True)
class FittedEncoder:
    """The result of a training.

    Args:
        encoder: the encoder.
        details: what the family adds to the card, such as the number of terms.
        seconds: the time of each part of the training.
    """

    encoder: Encoder
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class EncoderFamily(ABC):
    """Trains and opens the encoders of one family.

    Attributes:
        kind: its name in the configuration, `encoder.kind`.
        description: its name for people.
        libraries: those whose versions must be the ones that wrote a saved encoder.
        files: the names of files that every artifact of the family has.
        needs: the extra that it needs, as {module: extra}; a command installs it by itself.
        fit_needs: the extra that only a training needs; no command installs it by itself.
    """

    kind: str
    description: str
    libraries: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    needs: dict[str, str] = {}  # noqa: RUF012 - overridden, never changed
    fit_needs: dict[str, str] = {}  # noqa: RUF012 - overridden, never changed

    def check_fit_installed(self) -> None:
        """Check that the libraries of `fit_needs` are installed.

        Raises:
            ShelfmarkError: one is not; names what installs it.
        """
        more = "; docs/encoders.md says what that downloads"
        project.check_installed(self.fit_needs, f"a training with encoder={self.kind}", more)

    @abstractmethod
    def fit(
        self,
        settings: EncoderSettings,
        train: pa.Table,
        validation: pa.Table,
        callback: EpochCallback,
        checkpoint: Checkpoint | None = None,
    ) -> FittedEncoder:
        """Train an encoder on train; validation may stop it.

        Args:
            settings: the configuration; `settings.encoder` is of this family.
            train: papers with the columns of the splits; `label` is null where a paper has none.
            validation: papers not trained on.
            callback: called after each epoch.
            checkpoint: where finished stages are saved and resumed; None to save none.

        Raises:
            ShelfmarkError: the data or the settings do not allow it.
        """

    @abstractmethod
    def load(self, files: DigestedFiles, card: EncoderCard, threads: int | None = None) -> Encoder:
        """Open the encoder of an artifact whose versions and digests have been checked.

        Nothing in the files may run: neither names nor sizes in them are trusted.

        Args:
            files: of the artifact.
            card: the artifact's.
            threads: how many it uses, None for one a core.

        Raises:
            ShelfmarkError: a file is damaged or foreign.
        """
