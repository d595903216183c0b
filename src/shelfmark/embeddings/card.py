"""The card of an encoder: what is known of it, as `card.json` in its folder holds it."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, Self, get_type_hints

import orjson
from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, PlainValidator, TypeAdapter

from shelfmark.artifacts.card import MOST_FILES, FileName, Sha256, Text, TrainingData, validate_key
from shelfmark.config.encoders import MOST_SIZE, EncoderSettings
from shelfmark.config.schema import VERSION
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError

FORMAT: Literal[1] = 1
REQUIRED = ("name", "config", "size", "versions", "files")


def _check_config(values: Any) -> Any:
    EncoderSettings.model_validate_json(orjson.dumps(values))
    return values


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """The card of an encoder.

    Args:
        name: the version, also the name of its folder.
        config: the whole configuration, as JSON holds it.
        size: the numbers of a vector.
        sizes: the smaller numbers that vectors may be cut to (Matryoshka), ascending.
        key: of its training.
        command: that trained it.
        created: when, in ISO 8601.
        git_commit: of the code, None where it is not known.
        data: the splits.
        text_cleaning: what is done to a text before it is encoded.
        details: further keys, of the encoder's family: the number of terms.
        seconds: the time of each part of the training.
        metrics: the headline figures of each measured split.
        versions: of Python and the libraries that wrote the files.
        files: the SHA-256 of each file.
        arrays: the type and the shape of the array in each .npy file.
        format: of the artifact.
        digest: the SHA-256 of `card.json`, empty for a card that is not saved.
    """

    name: Annotated[str, Field(pattern=VERSION)]
    config: Annotated[dict[str, Any], AfterValidator(_check_config)]
    size: Annotated[int, Field(ge=1, le=MOST_SIZE)]
    sizes: Annotated[list[Annotated[int, Field(ge=1, le=MOST_SIZE)]], Field(max_length=20)] = field(
        default_factory=list
    )
    key: Text = ""
    command: str | None = None
    created: Text = ""
    git_commit: Text | None = None
    data: TrainingData = field(default_factory=lambda: TrainingData("", "", "", False, {}))
    text_cleaning: Annotated[list[Text], Field(max_length=100)] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[Text, Annotated[float, Field(ge=0)]] = field(default_factory=dict)
    metrics: dict[Text, dict[Text, FiniteFloat | None]] = field(default_factory=dict)
    versions: dict[Text, Text] = field(default_factory=dict)
    files: Annotated[dict[FileName, Sha256], Field(max_length=MOST_FILES)] = field(
        default_factory=dict
    )
    arrays: dict[FileName, Annotated[ArraySpec, PlainValidator(ArraySpec.from_json)]] = field(
        default_factory=dict
    )
    format: Literal[1] = FORMAT
    digest: str = ""

    @property
    def kind(self) -> str:
        """The family of the encoder."""
        return str(self.config["encoder"]["kind"])

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the card in a `card.json`.

        Raises:
            ShelfmarkError: it is no card of an encoder, or a key is invalid; names the key.
        """
        try:
            values = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ShelfmarkError(f"damaged ({error})") from error
        if not isinstance(values, dict) or "size" not in values:
            raise ShelfmarkError("no card of an encoder")
        if type(values.get("format")) is int and values["format"] > FORMAT:
            raise ShelfmarkError("made by a newer release of Shelfmark, which this one cannot read")
        adapters = _adapters()
        if missing := [key for key in REQUIRED if key not in values]:
            raise ShelfmarkError(f"{missing[0]} is missing")
        if unknown := [key for key in values if key not in adapters]:
            raise ShelfmarkError(f"{unknown[0]} is unknown")
        present = {key: validate_key(key, adapters[key], value) for key, value in values.items()}
        if not present.get("arrays", {}).keys() <= present["files"].keys():
            raise ShelfmarkError("arrays should be among the files")
        return cls(**present, digest=hashlib.sha256(content).hexdigest())

    def to_json(self) -> dict[str, Any]:
        """Return the card as `card.json` holds it."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "digest"}
        values["data"] = self.data.to_json()
        values["arrays"] = {name: spec.to_json() for name, spec in self.arrays.items()}
        return values


@functools.cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """Return the schema of each key of a card."""
    hints = get_type_hints(EncoderCard, include_extras=True)
    strict = ConfigDict(strict=True)
    return {
        one.name: TypeAdapter(hints[one.name])
        if one.name == "data"
        else TypeAdapter(hints[one.name], config=strict)
        for one in fields(EncoderCard)
        if one.name != "digest"
    }
