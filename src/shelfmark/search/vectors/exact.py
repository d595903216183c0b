"""Compares a query with every vector: exact but for their rounding to eight bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shelfmark.core.arrays import Floats, Ints
from shelfmark.core.npy import ArraySpec
from shelfmark.search.filters import Columns, Selection
from shelfmark.search.vectors.protocol import ArrayFiles, Neighbours, VectorIndex, VectorMethod
from shelfmark.search.vectors.stored import BLOCK, StoredVectors

MOST_FLOATS = 20_000  # vectors that are held in memory as floats, 60 MB


class ExactIndex(VectorIndex):
    """All vectors of a segment; of a small one, in memory.

    Args:
        vectors: of the segment.
    """

    def __init__(self, vectors: StoredVectors) -> None:
        self._vectors = vectors
        few = len(vectors) <= MOST_FLOATS
        self._floats = vectors.take(np.arange(len(vectors))) if few else None

    def search(
        self, queries: Floats, k: int, selection: Selection, effort: int | None = None
    ) -> Neighbours:
        """Return the papers nearest to each query, as the protocol."""
        rows = selection.rows()
        if self._floats is None:
            return search_rows(self._vectors, queries, k, rows)
        scores = queries @ (self._floats if selection.mask is None else self._floats[rows]).T
        every = Neighbours(np.broadcast_to(rows, scores.shape), scores)
        return Neighbours.empty(len(queries), k).merge(every)


class ExactMethod(VectorMethod):
    """Needs no files beside the vectors."""

    name = "exact"

    def write(
        self, vectors: StoredVectors, columns: Columns, segment: str, folder: Path
    ) -> dict[str, ArraySpec]:
        """Write no files."""
        return {}

    def open(
        self, files: ArrayFiles, vectors: StoredVectors, segment: str, settings: Mapping[str, Any]
    ) -> ExactIndex:
        """Open the vectors."""
        return ExactIndex(vectors)

    def settings(self) -> dict[str, Any]:
        """Return no settings."""
        return {}


def search_rows(vectors: StoredVectors, queries: Floats, k: int, rows: Ints) -> Neighbours:
    """Return the nearest of some vectors, all of them compared.

    Args:
        vectors: of a segment.
        queries: float32 of shape (queries, size).
        k: number of papers.
        rows: the papers to choose from, int64, ascending.
    """
    best = Neighbours.empty(len(queries), k)
    for begin in range(0, len(rows), BLOCK):
        part = rows[begin : begin + BLOCK]
        scores = vectors.scores(queries, part)
        best = best.merge(Neighbours(np.broadcast_to(part, scores.shape), scores))
    return best
