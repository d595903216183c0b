"""Sort rows of small integers by all their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shelfmark.core.arrays import Array, Ints
from shelfmark.tfidf.ngrams import mark_changes

_KEY_BITS = 63
_BLOCK = 1 << 16  # rows that are unpacked at a time


def sort_rows(columns: list[Array]) -> list[Array]:
    """Return the columns with their rows sorted by the first column, then by the second and so on.

    A row is one integer of 63 bits where it fits, which NumPy sorts several times faster than
    several columns.

    Args:
        columns: integers of the same length. The list is emptied, to free memory.
    """
    if not len(columns[0]):
        return [columns.pop(0) for _ in range(len(columns))]
    lows = [int(column.min()) for column in columns]
    widths = [
        (int(column.max()) - low).bit_length() for column, low in zip(columns, lows, strict=True)
    ]
    if sum(widths) > _KEY_BITS:
        order = np.lexsort(columns[::-1])
        return [columns.pop(0)[order] for _ in range(len(columns))]
    types = [column.dtype for column in columns]
    key = np.zeros(len(columns[0]), np.int64)
    for low, width in zip(lows, widths, strict=True):
        key <<= width
        key |= np.subtract(columns.pop(0), low, dtype=np.int64)
    key.sort()
    for dtype, low, width in zip(types[::-1], lows[::-1], widths[::-1], strict=True):
        columns.append(_low_bits(key, width, low, dtype))
        key >>= width
    result = columns[::-1]
    columns.clear()
    return result


def _low_bits(key: Ints, width: int, low: int, dtype: Any) -> Array:
    """Return the lowest bits of each key, so many of them, plus `low`."""
    column = np.empty(len(key), dtype)
    for begin in range(0, len(key), _BLOCK):
        part = key[begin : begin + _BLOCK] & ((1 << width) - 1)
        column[begin : begin + _BLOCK] = part + low
    return column


def mark_new_rows(columns: Sequence[Array]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return whether each row differs from the row before; True for the first row."""
    new = mark_changes(columns[0])
    for column in columns[1:]:
        new |= mark_changes(column)
    return new


def shrink(column: Array) -> Array:
    """Return non-negative integers in the smallest unsigned type that holds all, the same shape."""
    return column.astype(np.min_scalar_type(int(column.max(initial=0))))
