"""The model card: what is known of a trained model, as `card.json` in its folder holds it."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal, Self, get_type_hints

import orjson
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainValidator,
    TypeAdapter,
)

from shelfmark.artifacts.card import (
    MOST_FILES,
    STRICT,
    FileName,
    Sha256,
    Text,
    TrainingData,
    validate_key,
)
from shelfmark.arxiv import taxonomy
from shelfmark.config.schema import VERSION, Config, with_present_keys
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError
from shelfmark.models.verdicts import Probability, VerdictLimits

FORMAT: Literal[2] = 2  # of an artifact; those of format 1 had all of the pipeline in one pickle
MOST_CLASSES = 1000  # arXiv has 150 categories

# The keys without which a model cannot be served and compared.
REQUIRED = ("name", "created", "config", "data", "classes", "listed", "thresholds", "metrics",
            "versions", "files")  # fmt: skip


@dataclass(frozen=True)
class ClassLabel:
    """A class: its label, and that label's name at arXiv."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    label: Annotated[str, Field(min_length=1, max_length=200)]
    name: Text


@dataclass(frozen=True)
class Thresholds:
    """When an answer may be acted on.

    Args:
        min_precision: share of the sure answers to validation that is right.
        confident_from: for each class the least probability of a sure answer to an abstract, None
            for never.
        cross_lists_from: the least probability of a suggested cross-list, None to suggest none.
        verdicts: the limits of all verdicts; None of older models, which grade by the probability
            alone.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    min_precision: Probability
    confident_from: dict[Text, Probability | None]
    cross_lists_from: Probability | None
    verdicts: VerdictLimits | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the thresholds as `card.json` holds them."""
        values = asdict(self)
        if self.verdicts is None:
            del values["verdicts"]
        return values


def _check_config(values: Any) -> Any:
    """Return a configuration as it came, with the present keys, after checking all of it."""
    present = with_present_keys(values)
    Config.model_validate_json(orjson.dumps(present))
    return present


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
        text_cleaning: what is done to a text before the model reads it, in training and in
            prediction; empty on older cards.
        details: further keys, of the model's family: the rounds of boosted trees.
        seconds: the time of each part of the fit.
        thresholds: chosen on validation.
        metrics: the headline figures of each measured split.
        versions: of Python and the libraries that wrote the files.
        files: the SHA-256 of each file.
        arrays: the type and the shape of the array in each .npy file.
        format: of the artifact: `FORMAT`, or 1 for those that have to be converted.
        digest: the SHA-256 of `card.json`, empty for a card that is not saved. As the card holds
            the digests of all other files, it stands for the whole model.
        missing: the keys of `REQUIRED` that the JSON lacked.
    """

    name: Annotated[str, Field(pattern=VERSION)]
    config: Annotated[dict[str, Any], AfterValidator(_check_config)]
    classes: Annotated[list[ClassLabel], Field(min_length=1, max_length=MOST_CLASSES)]
    listed: Annotated[list[Text], Field(max_length=MOST_CLASSES)] = field(default_factory=list)
    text_cleaning: Annotated[list[Text], Field(max_length=100)] = field(default_factory=list)
    key: Text = ""
    command: str | None = None
    created: Text = ""
    git_commit: Text | None = None
    data: TrainingData = field(default_factory=lambda: TrainingData("", "", "", False, {}))
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[Text, Annotated[float, Field(ge=0)]] = field(default_factory=dict)
    thresholds: Thresholds | None = None
    metrics: dict[Text, dict[Text, FiniteFloat | None]] = field(default_factory=dict)
    versions: dict[Text, Text] = field(default_factory=dict)
    files: Annotated[dict[FileName, Sha256], Field(max_length=MOST_FILES)] = field(
        default_factory=dict
    )
    arrays: dict[FileName, Annotated[ArraySpec, PlainValidator(ArraySpec.from_json)]] = field(
        default_factory=dict
    )
    format: Literal[1, 2] = FORMAT
    digest: str = ""
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

    def name_of(self, label: str) -> str:
        """Return the full name of a label, the label itself if it has none."""
        return taxonomy.full_name(label, self.config.get("data", {}).get("categories"))

    @property
    def rounds(self) -> int | None:
        """The rounds that were kept, None where the family has none."""
        rounds: int | None = self.details.get("rounds")
        return rounds

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
    def from_bytes(cls, content: bytes) -> Self:
        """Return the card in a `card.json`, that of an older model with the present keys.

        Raises:
            ShelfmarkError: it is no JSON, or a key holds something else; the error names the key.
        """
        try:
            values = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ShelfmarkError(f"damaged ({error})") from error
        if not isinstance(values, dict):
            raise ShelfmarkError("no model card")
        try:
            orjson.dumps(values)  # as answers hold parts of it
        except orjson.JSONEncodeError as error:
            raise ShelfmarkError("its values are nested too deeply") from error
        return cls.from_json(values, hashlib.sha256(content).hexdigest())

    @classmethod
    def from_json(cls, values: dict[str, Any], digest: str = "") -> Self:
        """Return the card that `card.json` holds, that of an older model with the present keys.

        Raises:
            ShelfmarkError: a key holds something else; the error names the key.
        """
        values = {"format": 1, **values}
        if type(values["format"]) is int and values["format"] > FORMAT:
            raise ShelfmarkError("made by a newer release of Shelfmark, which this one cannot read")
        if "caution" in values:
            values["thresholds"] = values.pop("caution")
        adapters = _adapters()
        present = {
            key: validate_key(key, adapters[key], value)
            for key, value in values.items()
            if key in adapters
        }
        details = {key: value for key, value in values.items() if key not in adapters}
        missing = tuple(key for key in REQUIRED if key not in values)
        blank: dict[str, Any] = {"name": "", "config": {}, "classes": []}
        card = cls(**blank | present, details=details, missing=missing, digest=digest)
        card._check()
        return card

    def _check(self) -> None:
        """Check that the parts fit together.

        Raises:
            ShelfmarkError: they do not.
        """
        labels = self.labels
        if len(set(labels)) != len(labels) or len(set(self.listed)) != len(self.listed):
            raise ShelfmarkError("classes and listed should each name a category once")
        if self.thresholds is not None and [*self.thresholds.confident_from] != labels:
            raise ShelfmarkError("thresholds.confident_from should name the classes in their order")
        limits = self.thresholds and self.thresholds.verdicts
        for question in (limits.primary, limits.listed) if limits else ():
            if [*question.offsets] != labels:
                raise ShelfmarkError("thresholds.verdicts should name the classes in their order")
        if not self.arrays.keys() <= self.files.keys():
            raise ShelfmarkError("arrays should be among the files")
        custom = self.config.get("data", {}).get("labels")
        if isinstance(custom, dict) and not custom.keys() >= set(labels):
            raise ShelfmarkError("classes should be among config.data.labels")
        if type(self.details.get("rounds")) not in (int, type(None)):
            raise ShelfmarkError("rounds should be a number")

    def to_json(self) -> dict[str, Any]:
        """Return the card as `card.json` holds it."""
        return {
            "name": self.name,
            "key": self.key,
            "command": self.command,
            "created": self.created,
            "git_commit": self.git_commit,
            "config": self.config,
            "data": self.data.to_json(),
            "classes": [vars(entry) for entry in self.classes],
            "listed": self.listed,
            **({"text_cleaning": self.text_cleaning} if self.text_cleaning else {}),
            **self.details,
            "seconds": self.seconds,
            **({"thresholds": self.thresholds.to_json()} if self.thresholds else {}),
            "metrics": self.metrics,
            "versions": self.versions,
            "files": self.files,
            "arrays": {name: spec.to_json() for name, spec in self.arrays.items()},
            "format": self.format,
        }


@functools.cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """Return the schema of each key of a card."""
    own = {"details", "digest", "missing"}
    hints = get_type_hints(ModelCard, include_extras=True)
    strict = ConfigDict(strict=True)
    return {
        one.name: TypeAdapter(hints[one.name])
        if one.name in ("data", "thresholds", "classes")
        else TypeAdapter(hints[one.name], config=strict)
        for one in fields(ModelCard)
        if one.name not in own
    }
