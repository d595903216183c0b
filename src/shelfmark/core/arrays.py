"""The types of the arrays that pass between modules."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Ints = np.ndarray[Any, np.dtype[np.int64]]
SmallInts = np.ndarray[Any, np.dtype[np.int32]]
Floats = np.ndarray[Any, np.dtype[np.float32]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]
Indicator = np.ndarray[Any, np.dtype[np.uint8]]


class SparseRow(NamedTuple):
    """One row of a sparse matrix, without the matrix, whose checks take longer than small work.

    Attributes:
        columns: those with a value, rising, int32 or int64 of shape (values,).
        values: of those columns, of the same shape.
    """

    columns: Array
    values: Array
