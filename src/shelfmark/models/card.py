"""The model card: what is known of a trained model, as `card.json` in its folder holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Self

from shelfmark.config.schema import with_present_keys
from shelfmark.errors import ShelfmarkError

# The keys without which a model cannot be served and compared.
REQUIRED = ("name", "created", "config", "data", "classes", "listed", "thresholds", "metrics",
            "versions", "files")  # fmt: skip


@dataclass(frozen=True)
class ClassLabel:
    """A class: its label, and that label's name at arXiv."""

    label: str
    name: str


@dataclass(frozen=True)
class TrainingData:
    """The splits that a model was trained on.

    Args:
        folder: of the splits.
        card_sha256: digest of their card.
        source: sample, snapshot or csv.
        synthetic: whether the papers are made up.
        papers: how many each split has.
        submitted: the first and the last day of submission; None on older cards.
    """

    folder: str
    card_sha256: str
    source: str
    synthetic: bool
    papers: dict[str, int]
    submitted: dict[str, str] | None = None


@dataclass(frozen=True)
class Thresholds:
    """When an answer may be acted on.

    Args:
        min_precision: share of the confident answers to validation that is right.
        confident_from: for each class the least probability of a confident answer, None for never.
        cross_lists_from: the least probability of a suggested cross-list, None to suggest none.
    """

    min_precision: float
    confident_from: dict[str, float | None]
    cross_lists_from: float | None


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The card of a model.

    Args:
        name: the version, also the name of its folder.
        key: of its training, as `identity.key_of` returns it.
        command: that trained it.
        created: when, in ISO 8601.
        git_commit: of the code, None where it is not known.
        config: the whole configuration, as JSON holds it.
        data: the splits.
        classes: in the order of the probabilities' columns.
        listed: the categories that may be suggested as cross-lists.
        details: further keys, of the model's family: the rounds of boosted trees.
        seconds: the time of each part of the fit.
        thresholds: chosen on validation.
        metrics: the headline figures of each measured split.
        versions: of Python and the libraries that wrote the files.
        files: the SHA-256 of each file.
        missing: the keys of `REQUIRED` that the JSON lacked.
    """

    name: str
    config: dict[str, Any]
    classes: list[ClassLabel]
    listed: list[str] = field(default_factory=list)
    key: str = ""
    command: str | None = None
    created: str = ""
    git_commit: str | None = None
    data: TrainingData = field(default_factory=lambda: TrainingData("", "", "", False, {}))
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    thresholds: Thresholds | None = None
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The family of the model.

        Raises:
            ShelfmarkError: the card names none.
        """
        try:
            return str(self.config["model"]["kind"])
        except (KeyError, TypeError):
            raise ShelfmarkError("the card names no kind of model") from None

    @property
    def labels(self) -> list[str]:
        """The label of each class."""
        return [entry.label for entry in self.classes]

    @property
    def rounds(self) -> int | None:
        """The rounds that were kept, None where the family has none."""
        return self.details.get("rounds")

    @property
    def limits(self) -> Thresholds:
        """The thresholds of a whole card.

        Raises:
            ShelfmarkError: the card lacks them.
        """
        if self.thresholds is None:
            raise ShelfmarkError(f"{self.name}: its card lacks thresholds; train again")
        return self.thresholds

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the card that `card.json` holds, that of an older model with the present keys.

        Raises:
            ShelfmarkError: a key holds something else; names the key.
        """
        values = dict(values)
        if "caution" in values:
            values["thresholds"] = values.pop("caution")
        for key, of_json in _FROM_JSON.items():
            try:
                values |= {key: of_json(values[key])} if key in values else {}
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise ShelfmarkError(f"{key} is invalid") from error
        known = {one.name for one in fields(cls)} - {"details", "missing"}
        details = {key: value for key, value in values.items() if key not in known}
        missing = tuple(key for key in REQUIRED if key not in values)
        blank: dict[str, Any] = {"name": "", "config": {}, "classes": []}
        present = {key: value for key, value in values.items() if key in known}
        return cls(**blank | present, details=details, missing=missing)

    def to_json(self) -> dict[str, Any]:
        """Return the card as `card.json` holds it."""
        return {
            "name": self.name,
            "key": self.key,
            "command": self.command,
            "created": self.created,
            "git_commit": self.git_commit,
            "config": self.config,
            "data": vars(self.data),
            "classes": [vars(entry) for entry in self.classes],
            "listed": self.listed,
            **self.details,
            "seconds": self.seconds,
            **({"thresholds": vars(self.thresholds)} if self.thresholds else {}),
            "metrics": self.metrics,
            "versions": self.versions,
            "files": self.files,
        }


_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "config": with_present_keys,
    "data": lambda values: TrainingData(**values),
    "classes": lambda entries: [ClassLabel(**entry) for entry in entries],
    "thresholds": lambda values: Thresholds(**values),
}
