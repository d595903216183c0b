"""What can be configured of an index of papers: its sections, their types and limits."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, SerializeAsAny, model_validator

from shelfmark.config.encoders import MOST_SIZE
from shelfmark.config.schema import DataConfig, EngineConfig, Paths
from shelfmark.config.sections import Strict
from shelfmark.errors import nearest

WORD = 64  # bits of a code that are compared at a time
MOST_BITS = 4096
MOST_RESCORED = 100_000


class IndexConfig(Strict):
    """How the vectors of an index are searched: a separate section for each of `INDEX_KINDS`.

    Attributes:
        kind: the kind of index.
        size: numbers of a vector, one of the encoder's sizes; None for all.
    """

    kind: str
    size: int | None = Field(None, ge=1, le=MOST_SIZE)

    @model_validator(mode="wrap")
    @classmethod
    def _validate_as_kind(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Any:
        """Validate a mapping as the section of its kind."""
        if cls is not IndexConfig or not isinstance(values, dict):
            return validate(values)
        kind = values.get("kind")
        if kind not in INDEX_KINDS:
            raise ValueError(f"kind={kind}: no such kind of index{nearest(str(kind), INDEX_KINDS)}")
        return INDEX_KINDS[kind].model_validate(values)


class LocalConfig(IndexConfig):
    """Vectors in eight bits, and codes of one bit a number."""

    kind: Literal["local"] = "local"
    method: Literal["auto", "exact", "codes"]
    bits: int = Field(ge=WORD, le=MOST_BITS, multiple_of=WORD)
    rescored: int = Field(ge=1, le=MOST_RESCORED)
    exact_papers: int = Field(ge=0)


class FaissConfig(IndexConfig):
    """An index of the library FAISS."""

    kind: Literal["faiss"] = "faiss"
    factory: str = Field(min_length=1, max_length=100)
    nprobe: int = Field(ge=1)
    ef_search: int = Field(ge=1)
    train_papers: int = Field(ge=1)


INDEX_KINDS: dict[str, type[IndexConfig]] = {"local": LocalConfig, "faiss": FaissConfig}


class IndexSettings(Strict):
    """The complete configuration of an index."""

    seed: int = Field(ge=0, lt=2**31)
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"]
    paths: Paths
    data: DataConfig
    index: SerializeAsAny[IndexConfig]
    engine: EngineConfig
    experiment: str | None

    @model_validator(mode="after")
    def _has_engine(self) -> Self:
        if self.engine.kind == "dask":
            raise ValueError("engine=dask is for shelfmark train")
        if self.engine.kind == "milvus" and self.index.kind != "local":
            raise ValueError(f"engine=milvus has no index={self.index.kind}: leave it away")
        return self
