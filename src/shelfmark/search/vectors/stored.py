"""The vectors of a segment in eight bits, mapped from their file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shelfmark.core.arrays import Array, Floats, Ints

LARGEST = 127  # of an int8
BLOCK = 8192  # vectors that are turned into floats at a time


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Vectors of unit length, each as whole numbers and one factor.

    Args:
        rows: int8 of shape (papers, size).
        scales: the factor of each row, float32 of shape (papers,); 0 for a vector of zeros.
    """

    rows: Array
    scales: Floats

    @classmethod
    def round(cls, vectors: Floats) -> StoredVectors:
        """Return vectors, float32 of shape (papers, size), rounded to eight bits."""
        largest = np.abs(vectors).max(axis=1, initial=0.0)
        factors = LARGEST / np.maximum(largest, np.finfo(np.float32).tiny)
        rows = np.rint(vectors * factors[:, None]).astype(np.int8)
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float32))
        scales = np.where(largest > 0, 1 / np.maximum(lengths, 1), 0)
        return cls(rows, scales.astype(np.float32))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """The numbers of a vector."""
        return int(self.rows.shape[1])

    def take(self, rows: Ints) -> Floats:
        """Return the vectors of rows, float32 of shape (rows, size)."""
        floats: Floats = self.rows[rows].astype(np.float32)
        floats *= self.scales[rows, None]
        return floats

    def blocks(self) -> Iterator[tuple[int, Floats]]:
        """Yield all vectors, some at a time: the first row and float32 of shape (rows, size)."""
        for begin in range(0, len(self), BLOCK):
            part = slice(begin, begin + BLOCK)
            floats = self.rows[part].astype(np.float32)
            floats *= self.scales[part, None]
            yield begin, floats

    def scores(self, queries: Floats, rows: Ints) -> Floats:
        """Return the cosines of queries with the vectors of rows, shape (queries, rows)."""
        scores: Floats = queries @ self.rows[rows].astype(np.float32).T
        scores *= self.scales[rows]
        return scores
