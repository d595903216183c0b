"""Rows of sparse matrices without a matrix: what SciPy's matrices do."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import SparseRows


def random_matrix(rows: int, columns: int, seed: int, density: float = 0.3) -> sp.csr_matrix:
    made = sp.random(rows, columns, density, format="csr", dtype=np.float32, random_state=seed)
    made.sort_indices()
    return made


def rows_of(matrix: sp.csr_matrix) -> SparseRows:
    return SparseRows(matrix.indices, matrix.data, matrix.indptr)


def assert_same(rows: SparseRows, wanted: sp.csr_matrix) -> None:
    assert rows.columns.tolist() == wanted.indices.tolist()
    assert rows.values.tolist() == wanted.data.tolist()
    assert rows.bounds.tolist() == wanted.indptr.tolist()
    assert rows.columns.dtype == np.int32
    assert rows.values.dtype == np.float32


def test_a_selection_keeps_the_rows() -> None:
    matrix = random_matrix(6, 8, 3)
    rows = rows_of(matrix)
    kept = rows.values > 0.5
    wanted = matrix.copy()
    wanted.data[~kept] = 0
    wanted.eliminate_zeros()
    assert_same(rows.select(kept), wanted)
    assert len(rows.select(np.zeros(len(kept), np.bool_))) == 6


def test_rows_are_read_one_by_one_and_values_have_owners() -> None:
    matrix = random_matrix(5, 7, 4)
    rows = rows_of(matrix)
    for number, row in enumerate(rows):
        wanted = matrix[number]
        assert row.columns.tolist() == wanted.indices.tolist()
        assert row.values.tolist() == wanted.data.tolist()
    assert rows.owners.tolist() == matrix.tocoo().row.tolist()
