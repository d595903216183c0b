"""Codes find the papers that a comparison of all vectors finds, and filters keep k."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfmark.core.arrays import Floats, Ints
from shelfmark.search.filters import Columns, Selection
from shelfmark.search.segment import SegmentCard, SegmentFiles
from shelfmark.search.vectors.codes import CodeIndex, CodeMethod, distances, encode, fit_axes
from shelfmark.search.vectors.exact import ExactIndex, search_rows
from shelfmark.search.vectors.protocol import MISSING
from shelfmark.search.vectors.stored import StoredVectors

SIZE = 48


def unit_vectors(count: int, seed: int = 0, size: int = SIZE) -> Floats:
    """Vectors around a few directions, as those of papers are."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, size))
    rows = centres[rng.integers(12, size=count)] + 0.8 * rng.standard_normal((count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def columns_of(papers: int) -> Columns:
    """Two categories in turn."""
    primary = (np.arange(papers) % 2).astype(np.uint16)
    bits = np.packbits(np.stack([primary == 0, primary == 1]), axis=1)
    return Columns(["cs.AI", "hep-th"], primary, bits, np.arange(papers, dtype=np.int32))


def only(columns: Columns, rows: Ints) -> Selection:
    """Select some rows."""
    deleted = np.ones(columns.papers, bool)
    deleted[rows] = False
    return Selection(columns, deleted=deleted)


def code_index(vectors: StoredVectors, rescored: int, bits: int = 128) -> CodeIndex:
    floats = vectors.take(np.arange(len(vectors)))
    mean, axes = fit_axes(floats, bits, seed=1)
    return CodeIndex(vectors, encode(floats, mean, axes), mean, axes, rescored)


@pytest.mark.parametrize("bits", [64, 128, 512])
def test_the_distance_of_codes_is_the_number_of_bits_that_differ(bits: int) -> None:
    floats = unit_vectors(300)
    mean, axes = fit_axes(floats, bits, seed=1)
    codes = encode(floats, mean, axes)
    signs = (floats - mean) @ axes > 0
    assert codes.shape == (bits // 64, 300)
    expected = (signs != signs[7]).sum(axis=1)
    assert np.array_equal(distances(codes, codes[:, 7]), expected)
    some = np.array([3, 250, 7])
    assert np.array_equal(distances(codes, codes[:, 7], some), expected[some])


def test_the_axes_of_few_bits_are_orthonormal() -> None:
    _, axes = fit_axes(unit_vectors(500), 32, seed=1)
    assert np.allclose(axes.T @ axes, np.eye(32), atol=1e-5)


def test_codes_find_nearly_all_of_the_nearest() -> None:
    vectors = StoredVectors.round(unit_vectors(5000))
    queries = unit_vectors(50, seed=1)
    selection = Selection(columns_of(5000))
    exact = ExactIndex(vectors).search(queries, 10, selection)
    coded = code_index(vectors, 400, bits=512).search(queries, 10, selection)
    shared = [len(set(a) & set(b)) for a, b in zip(exact.rows, coded.rows, strict=True)]
    assert sum(shared) >= 0.98 * 500
    assert (np.diff(coded.scores) <= 0).all()


def test_more_effort_is_for_one_search_alone() -> None:
    vectors = StoredVectors.round(unit_vectors(3000))
    index, query = code_index(vectors, 20, bits=64), unit_vectors(1, seed=3)
    selection = Selection(columns_of(3000))
    before = index.search(query, 10, selection)
    exact = ExactIndex(vectors).search(query, 10, selection)
    assert np.array_equal(index.search(query, 10, selection, effort=3000).rows, exact.rows)
    assert np.array_equal(index.search(query, 10, selection).rows, before.rows)


@settings(max_examples=60, deadline=None)
@given(
    papers=st.integers(1, 400), share=st.floats(0, 1), k=st.integers(1, 50),
    rescored=st.integers(1, 100), seed=st.integers(0, 1000),
)  # fmt: skip
def test_any_selection_keeps_k(papers: int, share: float, k: int, rescored: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(rng.random(papers) < share)
    vectors = StoredVectors.round(unit_vectors(papers, seed))
    selection = only(columns_of(papers), rows)
    near = code_index(vectors, rescored).search(unit_vectors(2, seed + 1), k, selection)
    assert near.rows.shape == (2, k)
    for found, scores in zip(near.rows, near.scores, strict=True):
        kept = found[found != MISSING]
        assert len(set(kept)) == len(kept) == min(k, len(rows))
        assert set(kept) <= set(rows)
        assert np.isneginf(scores[len(kept) :]).all()


@settings(max_examples=40, deadline=None)
@given(papers=st.integers(1, 300), k=st.integers(1, 40), seed=st.integers(0, 1000))
def test_the_exact_search_is_a_sort_of_all_cosines(papers: int, k: int, seed: int) -> None:
    vectors = StoredVectors.round(unit_vectors(papers, seed))
    query = unit_vectors(1, seed + 1)
    near = search_rows(vectors, query, k, np.arange(papers))
    cosines = vectors.take(np.arange(papers)) @ query[0]
    order = np.sort(cosines)[::-1][:k]
    assert np.allclose(near.scores[0, : len(order)], order, atol=1e-5)


def test_equal_vectors_are_found_in_the_order_of_their_rows() -> None:
    vectors = StoredVectors.round(np.repeat(unit_vectors(1), 9000, axis=0))
    near = search_rows(vectors, unit_vectors(1), 5, np.arange(9000))
    assert near.rows.tolist() == [[0, 1, 2, 3, 4]]


def test_a_vector_of_zeros_stays_one() -> None:
    vectors = StoredVectors.round(np.zeros((2, 3), np.float32))
    assert not vectors.take(np.arange(2)).any()


def test_rounded_vectors_have_unit_length_and_their_direction() -> None:
    floats = unit_vectors(100)
    rounded = StoredVectors.round(floats).take(np.arange(100))
    assert np.allclose(np.linalg.norm(rounded, axis=1), 1, atol=1e-5)
    assert ((rounded * floats).sum(axis=1) > 0.9995).all()


def test_codes_on_disk_are_those_in_memory(tmp_path: Path) -> None:
    vectors = StoredVectors.round(unit_vectors(2000))
    method = CodeMethod(128, 50, seed=1)
    specs = method.write(vectors, columns_of(2000), "000001", tmp_path)
    card = SegmentCard(papers=2000, size=SIZE, categories=[], files={}, arrays=specs)
    index = method.open(SegmentFiles(tmp_path, card), vectors, "000001", method.settings())
    query, selection = unit_vectors(1, seed=5), Selection(columns_of(2000))
    expected = code_index(vectors, 50).search(query, 10, selection)
    assert np.array_equal(index.search(query, 10, selection).rows, expected.rows)
