"""Search by words: exact BM25 where the postings are few, k papers wherever k match."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfmark.core.arrays import Doubles, Ints
from shelfmark.errors import ShelfmarkError
from shelfmark.search.words import search as searching
from shelfmark.search.words.postings import Postings
from shelfmark.search.words.search import WordSearch
from shelfmark.search.words.terms import hash_words
from tests.support.word_search import postings_of, score_plainly, select

WORDS = ("graph", "robot", "multi-scale", "the", "quark", "field", *(f"w{n}" for n in range(9)))
TEXTS = st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join)
CHOSEN_PAPERS = st.tuples(TEXTS, TEXTS, st.booleans())
SEGMENTS = st.lists(st.lists(CHOSEN_PAPERS, max_size=15), min_size=1, max_size=3)
Segments = list[list[tuple[str, str, bool]]]


def search_words(
    segments: Segments, text: str, k: int, **limits: int
) -> tuple[list[int], list[float]]:
    papers = [[(title, abstract) for title, abstract, _ in segment] for segment in segments]
    search = WordSearch(list(map(postings_of, papers)), list(map(len, segments)), **limits)
    selections = [select([chosen for _, _, chosen in segment]) for segment in segments]
    rows, scores = search.search(text, k, selections)
    assert (rows.dtype, scores.dtype) == (np.int64, np.float32)
    return rows.tolist(), scores.tolist()


def matching(segments: Segments, text: str) -> dict[int, float]:
    """Return the exact scores of the chosen papers that have a word of a text."""
    papers = [paper for segment in segments for paper in segment]
    scores = score_plainly([(title, abstract) for title, abstract, _ in papers], text)
    return {row: scores[row] for row, paper in enumerate(papers) if paper[2] and scores[row]}


@settings(max_examples=40)
@given(SEGMENTS, TEXTS, st.integers(1, 20), st.sampled_from([3, 1 << 19]))
def test_the_papers_are_those_of_exact_bm25(
    segments: Segments, text: str, k: int, window: int
) -> None:
    rows, scores = search_words(segments, text, k, window=window)
    exact = matching(segments, text)
    assert scores == pytest.approx([exact[row] for row in rows], rel=0.02)
    assert scores == pytest.approx(sorted(exact.values(), reverse=True)[:k], rel=0.02)
    assert scores == sorted(scores, reverse=True)


@settings(max_examples=40)
@given(SEGMENTS, TEXTS, st.integers(1, 20), st.integers(0, 30), st.integers(0, 30))
def test_k_papers_are_found_while_k_match_however_little_is_read(
    segments: Segments, text: str, k: int, most_postings: int, most_lookups: int
) -> None:
    rows, scores = search_words(
        segments, text, k, most_postings=most_postings, most_lookups=most_lookups
    )
    exact = matching(segments, text)
    assert len(rows) == len(set(rows)) == min(k, len(exact))
    # Whatever is left out is a candidate, never a part of the score of one that is found.
    assert scores == pytest.approx([exact[row] for row in rows], rel=0.02)


@settings(max_examples=40)
@given(SEGMENTS, TEXTS)
def test_segments_are_searched_as_one(segments: Segments, text: str) -> None:
    joined = [[paper for segment in segments for paper in segment]]
    assert search_words(segments, text, 50) == search_words(joined, text, 50)


def test_a_common_word_is_looked_up_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    papers = [("", f"common rare{row % 500}") for row in range(5000)]
    add_up, read = searching._add_up_postings, []

    def count_postings(postings: Postings, ends: Ints, *args: Any) -> Doubles:
        read.append(int(np.diff(ends).sum()))
        return add_up(postings, ends, *args)

    monkeypatch.setattr(searching, "_add_up_postings", count_postings)
    selections, found = [select([True] * 5000)], []
    for most_postings in (10_000, 1000):
        search = WordSearch([postings_of(papers)], [5000], most_postings)
        found.append([array.tolist() for array in search.search("rare7 common", 10, selections)])
    assert read == [5010, 10]
    assert found[0] == found[1]
    assert found[0][0] == list(range(7, 5000, 500))


def test_a_query_of_common_words_alone_finds_papers() -> None:
    papers = [("", "model data" if row % 2 else "data") for row in range(300)]
    search = WordSearch([postings_of(papers)], [300], most_postings=10, most_lookups=10)
    rows, scores = search.search("data of the model", 20, [select([True] * 300)])
    assert len(rows) == 20
    assert all(row % 2 for row in rows.tolist())
    assert (scores > 0).all()


@pytest.mark.parametrize("text", ["", "the of", "unknownword", "?!"])
def test_a_text_without_a_known_word_finds_nothing(text: str) -> None:
    for papers in ([("robot", "graph")], []):
        search = WordSearch([postings_of(papers)], [len(papers)])
        rows, scores = search.search(text, 5, [select([True] * len(papers))])
        assert len(rows) == len(scores) == 0
    assert len(WordSearch([], []).search("robot", 5, [])[0]) == 0


def test_a_repeated_word_of_the_query_counts_more_slowly_than_its_times() -> None:
    papers = [("", "robot"), ("", "graph"), ("", "")]
    search = WordSearch([postings_of(papers)], [3])
    found = [
        search.search(text, 2, [select([True] * 3)]) for text in ("robot graph", "robot robot")
    ]
    once, twice = found[0][1][0], found[1][1][0]
    assert once < twice < 2 * once


def test_the_rarity_of_a_word_falls_with_its_papers() -> None:
    papers = [("", "robot graph"), ("", "robot"), ("", "")]
    hashes = hash_words(["quark graph robot"]).hashes
    rarity = WordSearch([postings_of(papers)], [3]).inverse_frequencies(hashes)
    assert rarity.tolist() == sorted(rarity.tolist(), reverse=True)
    assert rarity[2] > 0


def test_threads_search_at_a_time() -> None:
    papers = [(f"w{row % 7}", f"w{row % 11} w{row % 13}") for row in range(500)]
    search = WordSearch([postings_of(papers)], [500])
    texts = [f"w{number % 13} w{number % 7}" for number in range(100)]
    selections = [select([True] * 500)]

    def rows_of(text: str) -> Sequence[int]:
        return search.search(text, 10, selections)[0].tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(rows_of, texts)) == list(map(rows_of, texts))


def test_postings_of_papers_that_the_segment_lacks_are_an_error_in_one_line() -> None:
    whole = postings_of([("robot", ""), ("robot", "")])
    damaged = Postings(whole.hashes, whole.starts, whole.rows + np.uint32(2**31), whole.weights)
    search = WordSearch([damaged], [2])
    with pytest.raises(ShelfmarkError, match="postings of a segment are damaged: build"):
        search.search("robot", 2, [select([True, True])])
