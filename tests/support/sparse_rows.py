"""Rows of sparse matrices as the parts of a model read one paper."""

from __future__ import annotations

import scipy.sparse as sp

from shelfmark.core.arrays import SparseRow


def row_of(matrix: sp.csr_matrix, number: int) -> SparseRow:
    """Return one row of a matrix."""
    row = matrix[number]
    return SparseRow(row.indices, row.data)
