"""The rows of the training papers: on disk and in memory the same, in random blocks."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from shelfmark.models.boosted.fitting.rows import MatrixRows, PaperLabels, PartRows, gather_rows

GROUPS = (40, 40, 17)
PAPERS, TERMS, CLASSES = sum(GROUPS), 30, 3


def features() -> sp.csr_matrix:
    matrix = sp.random(PAPERS, TERMS, 0.2, "csr", np.float32, np.random.default_rng(1))
    matrix.sort_indices()
    return matrix


def labels() -> PaperLabels:
    rng = np.random.default_rng(2)
    classes = np.eye(CLASSES, dtype=np.uint8)[rng.integers(0, CLASSES, PAPERS)]
    listed = rng.integers(0, 2, (PAPERS, 4), np.uint8)
    return PaperLabels.of_indicator(np.hstack([classes, listed]), CLASSES)


def written(folder: Path, groups: tuple[int, ...] = GROUPS) -> PartRows:
    rows = PartRows(folder, groups, TERMS, labels(), seed=5)
    edges = np.concatenate([[0], np.cumsum(groups)])
    for part in rows.missing():
        rows.write_part(part, features()[edges[part] : edges[part + 1]])
    return rows


def test_blocks_hold_every_row_once(tmp_path: Path) -> None:
    rows = written(tmp_path)
    blocks = list(rows.blocks())
    assert sorted(np.concatenate([block.papers for block in blocks])) == list(range(PAPERS))
    for block in blocks:
        assert (block.features != features()[block.papers]).nnz == 0
    assert rows.stored == features().nnz
    assert rows.shape == (PAPERS, TERMS)


def test_each_block_samples_all_parts(tmp_path: Path) -> None:
    edges = np.cumsum(GROUPS)
    for block in written(tmp_path).blocks():
        counts = np.bincount(np.searchsorted(edges, block.papers, "right"), minlength=3)
        assert (np.abs(counts - np.array(GROUPS) / 3) <= 1).all()


def test_a_generator_orders_the_blocks(tmp_path: Path) -> None:
    rows = written(tmp_path, (10,) * 9 + (7,))
    first, again, other = (
        [block.papers[0] for block in rows.blocks(np.random.default_rng(seed))]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_a_part_that_is_written_is_not_missing(tmp_path: Path) -> None:
    rows = PartRows(tmp_path, GROUPS, TERMS, labels(), seed=5)
    rows.write_part(1, features()[40:80])
    assert PartRows(tmp_path, GROUPS, TERMS, labels(), seed=5).missing() == [0, 2]


def test_rows_read_in_another_process_are_the_same(tmp_path: Path) -> None:
    rows = written(tmp_path)
    list(rows.blocks())
    small = pickle.dumps(rows)
    again = gather_rows(pickle.loads(small))
    assert (again.features != features()[again.papers]).nnz == 0
    # What was read is not sent along.
    assert len(small) < 8 * (PAPERS + features().nnz)


def test_a_mask_chooses_papers(tmp_path: Path) -> None:
    chosen = np.random.default_rng(4).random(PAPERS) < 0.3
    for rows in (written(tmp_path), MatrixRows(features(), labels())):
        block = gather_rows(rows, chosen)
        assert sorted(block.papers) == np.flatnonzero(chosen).tolist()
        assert (block.features != features()[block.papers]).nnz == 0


def test_an_indicator_has_the_classes_first() -> None:
    papers = np.array([4, 90, 4])
    indicator = labels().indicator(papers)
    assert indicator.dtype == np.uint8
    assert (indicator[:, :CLASSES].argmax(axis=1) == labels().targets[papers]).all()
    assert (indicator[:, :CLASSES].sum(axis=1) == 1).all()
    np.testing.assert_array_equal(indicator[:, CLASSES:], labels().listed[papers].toarray())
