"""The types of the arrays that pass between modules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Ints = np.ndarray[Any, np.dtype[np.int64]]
SmallInts = np.ndarray[Any, np.dtype[np.int32]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]
Indicator = np.ndarray[Any, np.dtype[np.uint8]]


class SparseRow(NamedTuple):
    """One row of a sparse matrix.

    Attributes:
        columns: those with a value, rising, int32 or int64 of shape (values,).
        values: of those columns, of the same shape.
    """

    columns: Array
    values: Array


@dataclass(frozen=True)
class SparseRows:
    """The rows of a sparse matrix, without the matrix, whose checks take longer than small work.

    Args:
        columns: those with a value, row after row, int32 or int64 of shape (values,).
        values: of those columns, of the same shape.
        bounds: where the values of each row begin, and the end, shape (rows + 1,).
    """

    columns: Array
    values: Array
    bounds: Array

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __iter__(self) -> Iterator[SparseRow]:
        ends = self.bounds.tolist()
        for begin, end in itertools.pairwise(ends):
            yield SparseRow(self.columns[begin:end], self.values[begin:end])

    @property
    def owners(self) -> Ints:
        """The row of each value, shape (values,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))

    def select(self, kept: Array) -> SparseRows:
        """Return the rows with some of their values; `kept` is bool of shape (values,)."""
        counts = np.zeros(len(kept) + 1, np.int64)
        np.cumsum(kept, out=counts[1:])
        return SparseRows(self.columns[kept], self.values[kept], counts[self.bounds])
