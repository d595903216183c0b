"""The methods of vector search by their names; no other code names them."""

from __future__ import annotations

from shelfmark.config.schema import EngineConfig
from shelfmark.config.search import IndexConfig, LocalConfig
from shelfmark.search.vectors.codes import CodeMethod
from shelfmark.search.vectors.exact import ExactMethod
from shelfmark.search.vectors.protocol import VectorMethod


def choose_method(
    config: IndexConfig, engine: EngineConfig, papers: int, seed: int
) -> VectorMethod:
    """Return the method that writes the vector index of a new segment.

    Args:
        config: of the index.
        engine: this machine, or Milvus.
        papers: number of papers of the segment.
        seed: of all random choices.
    """
    if isinstance(config, LocalConfig):
        exact = config.method == "exact"
        if exact or (config.method == "auto" and papers <= config.exact_papers):
            return ExactMethod()
        return CodeMethod(config.bits, config.rescored, seed)
    raise NotImplementedError(config.kind)
