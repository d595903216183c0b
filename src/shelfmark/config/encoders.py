"""What can be configured of a training of an encoder: its sections, their types and limits."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, SerializeAsAny, model_validator

from shelfmark.config.schema import (
    VERSION,
    DataConfig,
    Fraction,
    Paths,
    Strict,
    TrackingConfig,
)
from shelfmark.errors import nearest

MOST_SIZE = 4096  # numbers of a vector


class EncoderConfig(Strict):
    """The encoder: a separate section for each kind in `ENCODER_KINDS`.

    Attributes:
        kind: the family of encoders.
        n_jobs: threads of a training, None for one per core.
    """

    kind: str
    n_jobs: int | None = Field(None, ge=1)

    @model_validator(mode="wrap")
    @classmethod
    def _validate_as_kind(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Any:
        """Validate a mapping as the section of its kind."""
        if cls is not EncoderConfig or not isinstance(values, dict):
            return validate(values)
        kind = values.get("kind")
        if kind not in ENCODER_KINDS:
            near = nearest(str(kind), ENCODER_KINDS)
            raise ValueError(f"kind={kind}: no such kind of encoder{near}")
        return ENCODER_KINDS[kind].model_validate(values)


class StaticConfig(EncoderConfig):
    """A table of one vector for each term."""

    kind: Literal["static"] = "static"
    size: int = Field(ge=1, le=MOST_SIZE)
    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    dropout: Fraction | None


# The section of each kind of encoder. The families themselves are in `embeddings/families.py`.
ENCODER_KINDS: dict[str, type[EncoderConfig]] = {"static": StaticConfig}


class EncoderSettings(Strict):
    """The complete configuration of a training of an encoder."""

    name: str | None = Field(pattern=VERSION)
    seed: int = Field(ge=0, lt=2**31)
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"]
    paths: Paths
    data: DataConfig
    encoder: SerializeAsAny[EncoderConfig]
    tracking: TrackingConfig
    experiment: str | None
