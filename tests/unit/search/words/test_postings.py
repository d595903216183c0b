"""Postings of papers: those of a plain loop, saved, opened, and merged to the byte."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shelfmark.core import npy
from shelfmark.core.arrays import Array, Ints
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError
from shelfmark.search.words.merging import AT_A_TIME, merge_postings
from shelfmark.search.words.postings import FILES, LARGEST, Postings
from shelfmark.search.words.terms import hash_words
from tests.support.word_search import Paper, postings_of, weigh_plainly

WORDS = ("graph", "robot", "robot", "multi-scale", "the", "quark", "field", "é")
TEXTS = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
PAPERS = st.lists(st.tuples(TEXTS, TEXTS), max_size=12)


class SavedFiles:
    """The files of a folder, as those of a segment."""

    def __init__(self, folder: Path, specs: dict[str, ArraySpec]) -> None:
        self.folder, self._specs = folder, specs

    def content(self, name: str) -> memoryview:
        return memoryview((self.folder / name).read_bytes())

    def array(self, name: str) -> Array:
        return npy.view_array(self.content(name), self._specs[name])


@settings(max_examples=40)
@given(PAPERS)
def test_the_postings_are_those_of_a_plain_loop(papers: list[Paper]) -> None:
    postings, expected = postings_of(papers), weigh_plainly(papers)
    assert postings.hashes.tolist() == sorted(expected)
    for place, word in enumerate(postings.hashes.tolist()):
        inside = slice(*postings.starts[place : place + 2])
        assert postings.rows[inside].tolist() == sorted(expected[word])
        weights = np.array([expected[word][row] for row in sorted(expected[word])])
        assert np.abs(postings.weights[inside] / LARGEST - weights).max() <= 0.5001 / LARGEST
    assert [array.dtype.str for array in postings.arrays()] == list(FILES.values())


def test_a_word_of_the_title_and_of_a_short_paper_weighs_more() -> None:
    papers = [("", "robot arms"), ("robot", "arms"), ("", "robot arms" + " graph" * 200)]
    (begin,), (end,) = postings_of(papers).find(hash_words(["robot"]).hashes)
    weights = postings_of(papers).weights[begin:end].tolist()
    assert weights[1] > weights[0] > weights[2] > 0


def test_an_unknown_word_has_no_postings() -> None:
    unknown = np.array([0, 2**64 - 1], np.uint64)
    for papers in ([], [("robot", "graph")]):
        begins, ends = postings_of(papers).find(unknown)
        assert begins.tolist() == ends.tolist()


@pytest.mark.parametrize("papers", [[], [("", "")], [("robot", "graph"), ("the", "graph")]])
def test_saved_postings_come_back(papers: list[Paper], tmp_path: Path) -> None:
    postings = postings_of(papers)
    specs = postings.save(tmp_path)
    assert sorted(specs) == sorted(path.name for path in tmp_path.iterdir())
    again = Postings.open(SavedFiles(tmp_path, specs))
    assert all(map(np.array_equal, again.arrays(), postings.arrays()))


@pytest.mark.parametrize("name", ["word_rows.npy", "word_starts.npy", "word_hashes.npy"])
def test_files_that_do_not_fit_each_other_are_refused(name: str, tmp_path: Path) -> None:
    papers = [("robot", "graph"), ("quark", "graph")]
    specs = postings_of(papers).save(tmp_path)
    place = list(FILES).index(name)
    specs |= npy.write_arrays(tmp_path, {name: postings_of(papers).arrays()[place][:-1]})
    with pytest.raises(ShelfmarkError, match="do not fit: build the index again"):
        Postings.open(SavedFiles(tmp_path, specs))


Blocks = Sequence[Sequence[Paper]]


def merge(folder: Path, blocks: Blocks, new_rows: Ints, at_a_time: int = AT_A_TIME) -> Postings:
    cuts = np.cumsum([len(block) for block in blocks])[:-1]
    parts = list(zip(map(postings_of, blocks), np.split(new_rows, cuts), strict=True))
    return Postings.open(SavedFiles(folder, merge_postings(parts, folder, at_a_time)))


def assert_same(merged: Postings, expected: Postings) -> None:
    for one, other in zip(merged.arrays(), expected.arrays(), strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@settings(max_examples=50)
@given(st.lists(PAPERS, min_size=1, max_size=4), st.integers(0, 2**32), st.integers(1, 40))
@example([[("robot", "graph")], [], [("", "")]], 1, 1)
def test_merged_postings_are_those_of_all_kept_papers(
    blocks: list[list[Paper]], seed: int, at_a_time: int
) -> None:
    papers = [paper for block in blocks for paper in block]
    rng = np.random.default_rng(seed)
    kept = rng.permutation(np.flatnonzero(rng.random(len(papers)) < 0.7))
    new_rows = np.full(len(papers), -1)
    new_rows[kept] = np.arange(len(kept))
    with tempfile.TemporaryDirectory() as folder:
        merged = merge(Path(folder), blocks, new_rows, at_a_time)
        assert_same(merged, postings_of([papers[row] for row in kept.tolist()]))


def test_nothing_merged_is_nothing(tmp_path: Path) -> None:
    specs = merge_postings([], tmp_path)
    assert_same(Postings.open(SavedFiles(tmp_path, specs)), postings_of([]))


def test_merging_takes_memory_for_some_of_the_postings_at_a_time(tmp_path: Path) -> None:
    draw = np.random.default_rng(3).integers(3000, size=(2000, 40)).astype(str)
    papers = [("", " ".join(f"w{number}" for number in row)) for row in draw.tolist()]
    expected, peaks = postings_of(papers), []
    for at_a_time in (AT_A_TIME, 2000):
        tracemalloc.start()
        merged = merge_postings([(expected, np.arange(2000))], tmp_path, at_a_time)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert_same(Postings.open(SavedFiles(tmp_path, merged)), expected)
    assert peaks[1] < peaks[0] / 10
