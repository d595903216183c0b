"""N-grams counted by parts: exactly the counts of one process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.models.boosted.dask import ngrams as partitions
from shelfmark.tfidf.counts import NotExactError, count_terms
from shelfmark.tfidf.ngrams import Grams, Limits
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

WORDS = ["alpha", "beta", "gamma", "été", "x1", "a_word_longer_than_sixteen", "the", "a"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), min_size=1)


def by_parts(
    documents: list[str], limits: Limits, parts: int, ranges: int
) -> tuple[list[str], Grams]:
    """Do what a cluster does, here."""
    reader = FastTfidfVectorizer(stop_words="english")._reader()
    assert reader is not None
    size = -(-len(documents) // parts)
    rows = range(0, len(documents), size)
    streams = [partitions.read_part(documents[i : i + size], reader, limits.n_max) for i in rows]
    summaries = [partitions.summarize_part(stream) for stream in streams]
    words = partitions.rank_words(summaries, limits, ranges)
    spots = np.cumsum([0, *(part.length for part in summaries)]).tolist()
    counted = [
        partitions.count_part(stream, words, limits, row, spot)
        for stream, row, spot in zip(streams, rows, spots, strict=False)
    ]
    return words.names, Grams.join(
        [partitions.merge_grams(pieces, limits) for pieces in zip(*counted, strict=True)]
    )


@given(
    TEXTS,
    st.sampled_from([(1, 1), (1, 2), (2, 3)]),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_parts_and_ranges_change_no_number(
    documents: list[str], words: tuple[int, int], low: int, parts: int, ranges: int
) -> None:
    limits = Limits(*words, low, 0.9 * len(documents))
    reader = FastTfidfVectorizer(stop_words="english")._reader()
    assert reader is not None
    try:
        names, wanted = count_terms(documents, reader, limits)
    except NotExactError:
        with pytest.raises(NotExactError):
            by_parts(documents, limits, parts, ranges)
        return
    found_names, result = by_parts(documents, limits, parts, ranges)
    assert found_names == names
    for name in ("df", "first", "rows", "counts"):
        ours, theirs = getattr(result, name), getattr(wanted, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(result.places, wanted.places)
