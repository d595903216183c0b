"""What can be configured of a training of an encoder: its sections, their types and limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, SerializeAsAny, model_validator

from shelfmark.config.schema import TrainingSettings
from shelfmark.config.sections import Fraction, Strict
from shelfmark.errors import nearest

MOST_SIZE = 4096  # numbers of a vector
MOST_SCALE = 40.0  # of cosines: exp(-2 x 40) is the last that single precision holds well


class EncoderConfig(Strict):
    """The encoder: a separate section for each kind in `ENCODER_KINDS`.

    Attributes:
        kind: the family of encoders.
        n_jobs: threads of a training, None for one per core.
    """

    kind: str
    n_jobs: int | None = Field(None, ge=1)

    @property
    def reads_minilm(self) -> bool:
        """Whether a training reads the packaged weights of MiniLM."""
        return False

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


class PairWeights(Strict):
    """The pairs of texts of an epoch, by kind: how many, as a multiple of the papers."""

    title_abstract: float = Field(ge=0)
    halves: float = Field(ge=0)
    authors: float = Field(ge=0)
    cross_lists: float = Field(ge=0)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any(vars(self).values()):
            raise ValueError("one kind of pairs needs a weight above 0")
        return self


class StaticConfig(EncoderConfig):
    """A table of one vector for each term."""

    kind: Literal["static"] = "static"
    size: int = Field(ge=1, le=MOST_SIZE)
    sizes: list[Annotated[int, Field(ge=1)]]
    min_df: Annotated[int, Field(ge=1)]
    max_terms: int | None = Field(ge=1)
    start: Literal["random", "lsa"]
    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    neighbours: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    scale: float = Field(gt=0, le=MOST_SCALE)
    dropout: Fraction | None
    whitening: float = Field(ge=0, le=0.5)
    category_weight: float = Field(ge=0)
    pairs: PairWeights

    @model_validator(mode="after")
    def _smaller_sizes(self) -> Self:
        if self.sizes != sorted({size for size in self.sizes if size < self.size}):
            raise ValueError(f"sizes should ascend and be smaller than size={self.size}")
        return self


class MinilmConfig(EncoderConfig):
    """all-MiniLM-L6-v2, or a user's own encoder, as an ONNX graph; nothing is trained."""

    kind: Literal["minilm"] = "minilm"
    path: str | None = Field(min_length=1)
    precision: Literal["int8", "fp32"]
    max_tokens: int = Field(ge=8, le=8192)

    @property
    def reads_minilm(self) -> bool:
        """Whether the encoder is made from the packaged weights, not from a folder."""
        return self.path is None


class PairsConfig(Strict):
    """For each kind of pairs, the share of the possible ones that a training takes."""

    title_abstract: float = Field(ge=0, le=1)
    halves: float = Field(ge=0, le=1)
    cross_lists: float = Field(ge=0, le=1)
    category: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _some_pairs(self) -> Self:
        if not any(self.model_dump().values()):
            raise ValueError("at least one kind should have a share above 0")
        return self


class SentenceConfig(EncoderConfig):
    """A sentence transformer, fine-tuned with PyTorch and exported to ONNX."""

    kind: Literal["sentence"] = "sentence"
    base: str = Field(min_length=1)
    epochs: int = Field(ge=0)
    pairs: PairsConfig
    loss: Literal["ranking", "cached_ranking", "guided", "cached_guided", "contrastive"]
    guide: str | None = Field(min_length=1)
    batch: int = Field(ge=2)
    mini_batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    warmup: float = Field(ge=0, lt=1)
    max_tokens: int = Field(ge=8, le=8192)
    sizes: list[Annotated[int, Field(ge=1, le=MOST_SIZE)]] = Field(max_length=20)
    evaluations: int = Field(ge=1)
    queries: int = Field(ge=1)
    pool: int = Field(ge=2)
    precision: Literal["int8", "fp32"]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.queries > self.pool:
            raise ValueError(f"queries={self.queries} should not exceed pool={self.pool}")
        if self.sizes != sorted({*self.sizes}):
            raise ValueError(f"sizes={self.sizes} should ascend")
        return self

    @property
    def reads_minilm(self) -> bool:
        """Whether the base or the guide is the packaged MiniLM."""
        return "minilm" in (self.base, self.guide)


# The section of each kind of encoder. The families themselves are in `embeddings/families.py`.
ENCODER_KINDS: dict[str, type[EncoderConfig]] = {
    "minilm": MinilmConfig,
    "static": StaticConfig,
    "sentence": SentenceConfig,
}


class EncoderSettings(TrainingSettings):
    """The complete configuration of a training of an encoder."""

    encoder: SerializeAsAny[EncoderConfig]
