"""The types of the arrays that pass between modules."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
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

    @classmethod
    def beside(cls, parts: Sequence[SparseRows], widths: Sequence[int]) -> SparseRows:
        """Return the rows of all parts side by side, as `scipy.sparse.hstack` does.

        Args:
            parts: with the same number of rows.
            widths: the number of columns of each part.
        """
        if len(parts) == 1:
            return parts[0]
        bounds = functools.reduce(np.add, [part.bounds for part in parts])
        columns = np.empty(bounds[-1], parts[0].columns.dtype)
        values = np.empty(bounds[-1], parts[0].values.dtype)
        begins, before = bounds[:-1].copy(), 0
        for part, width in zip(parts, widths, strict=True):
            sizes = np.diff(part.bounds)
            places = np.arange(len(part.values)) + np.repeat(begins - part.bounds[:-1], sizes)
            columns[places] = part.columns + part.columns.dtype.type(before)
            values[places] = part.values
            begins += sizes
            before += width
        return cls(columns, values, bounds)
