"""Tables of int8: how far they are from the floats, and their products."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from shelfmark.core.arrays import Array, Floats, SparseRow, SparseRows
from shelfmark.models.boosted import quantized
from shelfmark.models.boosted.quantized import (
    multiply,
    multiply_alike,
    quantize_rows,
    sum_row,
    sum_rows,
    weigh_rows,
)


def test_rows_of_eight_bits_are_right_to_half_a_scale() -> None:
    rows = np.random.default_rng(0).normal(size=(3000, 7)).astype(np.float32)
    rows[5] = 0
    values, scales = quantize_rows(rows)
    assert values.dtype == np.int8
    assert np.abs(values[:5]).max(axis=1).tolist() == [127] * 5
    assert not values[5].any()
    assert (np.abs(values * scales - rows) <= scales * 0.5001).all()


@pytest.mark.parametrize("few", [0, 1 << 30])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("papers", [0, 1, 700])
def test_products_are_those_of_the_whole_table(
    papers: int, parts: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "FEW", few)
    rng = np.random.default_rng(1)
    table, scales = int8_table(rng, 40, 4, parts)
    features = sp.random(papers, 40, 0.1, "csr", np.float32, rng)
    blocks = list(multiply(features, table, scales))
    assert [len(block) for block in blocks] == {0: [], 1: [1], 700: [512, 188]}[papers]
    if blocks:
        wanted = features @ (table * np.repeat(scales, 4, axis=1))
        np.testing.assert_allclose(np.vstack(blocks), wanted, rtol=1e-5, atol=1e-4)


def int8_table(
    rng: np.random.Generator, terms: int, columns: int, parts: int
) -> tuple[Array, Floats]:
    """Return a table with so many columns in each part, and its scales."""
    table = rng.integers(-127, 128, (terms, parts * columns)).astype(np.int8)
    return table, rng.uniform(size=(terms, parts)).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (128, 5), (256, 149), (147, 20), (64, 1), (257, 300)])
@pytest.mark.parametrize("papers", [1, 3, 4, 5, 64, 203])
def test_no_row_of_a_product_depends_on_the_others(papers: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(papers)
    rows = rng.normal(size=(papers, shape[0])).astype(np.float32)
    table = rng.normal(size=shape).astype(np.float32)
    whole = multiply_alike(rows, table)
    assert (whole.dtype, whole.shape) == (np.float32, (papers, shape[1]))
    np.testing.assert_allclose(whole, rows.astype(np.float64) @ table, rtol=1e-4, atol=1e-4)
    for size in {1, 2, min(5, papers), papers}:
        some = rng.permutation(papers)[:size]
        assert multiply_alike(rows[some], table).tobytes() == whole[some].tobytes()
    wider = np.concatenate([rows, rows], axis=1)[:, : shape[0]]  # rows that lie apart in memory
    assert multiply_alike(wider, table).tobytes() == whole.tobytes()
    turned = np.asfortranarray(table)
    whole, some = multiply_alike(rows, turned), rng.permutation(papers)[: papers // 2 + 1]
    assert multiply_alike(rows[some], turned).tobytes() == whole[some].tobytes()


def test_a_product_without_rows_has_none() -> None:
    table = np.ones((7, 3), np.float32)
    assert multiply_alike(np.zeros((0, 7), np.float32), table).shape == (0, 3)


@pytest.mark.parametrize("parts", [0, 1, 3])
@pytest.mark.parametrize("columns", [1, 2, 3, 5, 16, 128, 149, 512])
@pytest.mark.parametrize("terms", [0, 1, 2, 9, 140, 1500])
def test_rows_are_added_in_the_order_of_a_sparse_product(
    terms: int, columns: int, parts: int
) -> None:
    rng = np.random.default_rng(terms)
    table, scales = int8_table(rng, 2000, columns, max(parts, 1))
    own = np.sort(rng.choice(2000, terms, replace=False))
    row = SparseRow(own, rng.uniform(size=terms).astype(np.float32))
    rows = SparseRows(own, row.values, np.array([0, terms]))
    matrix = sp.csr_matrix((row.values, own, [0, terms]), (1, 2000))
    if parts:
        total = sum_row(row, table, scales)
        [alone] = sum_rows(rows, table, scales)
        [whole] = multiply(matrix, table, scales)
        added = weigh_rows(row, table, scales)
    else:
        floats = table.astype(np.float32)
        total, whole = sum_row(row, floats, None), matrix @ floats
        [alone] = sum_rows(rows, floats, None)
        added = weigh_rows(row, floats, None)
    assert (total.dtype, total.shape) == (np.float32, (table.shape[1],))
    assert total.tobytes() == alone.tobytes() == whole.tobytes()
    assert added.shape == (terms, table.shape[1])
    np.testing.assert_allclose(added.sum(axis=0), total, rtol=1e-3, atol=1e-2)
