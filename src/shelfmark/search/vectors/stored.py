"""The vectors of a segment in eight bits: arrays in memory, or their file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from shelfmark.core import files
from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError

LARGEST = 127  # of an int8
BLOCK = 8192  # vectors that are turned into floats at a time


class Rows(Protocol):
    """The rows of a matrix of int8."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of rows and of columns."""

    def __getitem__(self, rows: slice | Ints) -> Array:
        """Return some rows, int8 of shape (rows, columns)."""


class RowFile:
    """The rows of a matrix of int8 in a .npy file, read where they are asked for.

    The file is not mapped: each page of a mapped file that is read counts as memory of this
    process, and a thousand rows of a query lie in a thousand pages.

    Args:
        path: of the file.
        spec: its type and shape.

    Raises:
        ShelfmarkError: the file cannot be opened.
    """

    def __init__(self, path: Path, spec: ArraySpec) -> None:
        self._path = path
        self.shape = spec.shape
        self._start = len(spec.header())
        try:
            self._file = files.open_regular(path)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}; build the index again"
            raise ShelfmarkError(f"{path} {reason}") from error

    def __getitem__(self, rows: slice | Ints) -> Array:
        size = self.shape[1]
        if not isinstance(rows, slice) and len(rows) and _follow_one_another(rows):
            rows = slice(int(rows[0]), int(rows[-1]) + 1)  # one read in place of many
        if isinstance(rows, slice):
            begin, end, _ = rows.indices(self.shape[0])
            content = self._read(begin * size, max(end - begin, 0) * size)
        else:
            content = b"".join([self._read(row * size, size) for row in rows.tolist()])
        return np.frombuffer(content, np.int8).reshape(-1, size)

    def _read(self, begin: int, size: int) -> bytes:
        content = os.pread(self._file.fileno(), size, self._start + begin)
        if len(content) != size:
            raise ShelfmarkError(
                f"{self._path} is damaged: it ends too early; build the index again"
            )
        return content

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _follow_one_another(rows: Ints) -> bool:
    return bool(rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all())


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Vectors of unit length, each as whole numbers and one factor.

    Args:
        rows: int8 of shape (papers, size), an array or a file.
        scales: the factor of each row, float32 of shape (papers,); 0 for a vector of zeros.
    """

    rows: Rows
    scales: Floats

    @classmethod
    def round(cls, vectors: Floats) -> StoredVectors:
        """Return vectors, float32 of shape (papers, size), rounded to eight bits."""
        largest = np.abs(vectors).max(axis=1, initial=0.0)
        largest[largest == 0] = 1
        rows = np.rint(vectors * (LARGEST / largest)[:, None]).astype(np.int8)
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float32)
        scales = np.where(squares > 0, 1 / np.sqrt(np.maximum(squares, 1)), 0)
        return cls(rows, scales.astype(np.float32))

    def __len__(self) -> int:
        return self.rows.shape[0]

    @property
    def size(self) -> int:
        """The numbers of a vector."""
        return self.rows.shape[1]

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

    def sample(self, most: int, seed: int) -> Floats:
        """Return vectors drawn at random, or all, float32 of shape (vectors, size)."""
        if len(self) <= most:
            return self.take(np.arange(len(self)))
        drawn = np.random.default_rng(seed).choice(len(self), most, replace=False)
        return self.take(np.sort(drawn))

    def scores(self, queries: Floats, rows: Ints) -> Floats:
        """Return the cosines of queries with the vectors of rows, shape (queries, rows)."""
        scores: Floats = queries @ self.rows[rows].astype(np.float32).T
        scores *= self.scales[rows]
        return scores


def join_vectors(parts: Sequence[tuple[StoredVectors, Ints]]) -> Iterator[tuple[Array, Floats]]:
    """Yield rows and scales of the kept vectors of several segments, some at a time.

    Args:
        parts: the vectors of each segment and the rows that are kept, ascending.
    """
    for vectors, kept in parts:
        for begin in range(0, len(vectors), BLOCK):
            inside = kept[np.searchsorted(kept, begin) : np.searchsorted(kept, begin + BLOCK)]
            if len(inside):
                block = vectors.rows[begin : begin + BLOCK]
                yield block[inside - begin], vectors.scales[inside]
