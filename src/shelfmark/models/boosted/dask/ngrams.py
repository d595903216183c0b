"""Count the n-grams of a corpus in separate parts: exactly the counts of `counts.count_terms`.

Each part reads its documents (`read_part`) and reports which words it has, how often
(`summarize_part`). One process ranks the words of all parts (`rank_words`) and cuts them into
ranges. Each part then counts its n-grams, range by range (`count_part`); the counts of all parts in
one range are merged apart from the other ranges (`merge_grams`), and the ranges joined in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shelfmark.tfidf.counts import NotExactError, check_words, longest_document, token_positions
from shelfmark.tfidf.ngrams import Grams, Limits, count_grams, mark_changes
from shelfmark.tfidf.tokens import FIRST, Reader, Stream, read_stream


@dataclass(frozen=True)
class PartSummary:
    """A summary of a part's stream: how often each word occurs, its length in tokens and marks.

    `longest` is the largest number of tokens of a document.
    """

    times: dict[str, int]
    length: int
    longest: int


@dataclass(frozen=True)
class Words:
    """The words by rank, from 1, and the rank after the end of each range of equal work."""

    names: list[str]
    edges: list[int]


def read_part(documents: Sequence[str], reader: Reader, n_max: int) -> Stream:
    """Return the stream of a part. Raises `NotExactError` as `check_words`."""
    stream = read_stream(documents, reader)
    check_words(stream, reader, n_max)
    return stream


def summarize_part(stream: Stream) -> PartSummary:
    """Return the summary of a part, which ranking the words of all parts needs."""
    times = np.bincount(stream.ids, minlength=len(stream.names) + FIRST)[FIRST:].tolist()
    met = {name: count for name, count in zip(stream.names, times, strict=True) if count}
    return PartSummary(met, len(stream.ids), longest_document(stream))


def rank_words(parts: Sequence[PartSummary], limits: Limits, ranges: int) -> Words:
    """Return the words of all parts by rank, as `counts.rank_tokens` does for one.

    Raises `NotExactError` if no part has an n-gram.
    """
    if max((part.longest for part in parts), default=0) < limits.n_min:
        raise NotExactError
    times: Counter[str] = Counter()
    for part in parts:
        times.update(part.times)
    names = sorted(name for name, count in times.items() if count >= max(limits.low, 1))
    sizes = np.cumsum([times[name] for name in names])
    shares = np.linspace(0, sizes[-1:].sum(), ranges + 1)[1:-1]
    cuts = np.searchsorted(sizes, shares) + 2
    return Words(names, np.unique([*cuts.tolist(), len(names) + 1]).tolist())


def count_part(
    stream: Stream, words: Words, limits: Limits, first_row: int, first_spot: int
) -> list[Grams]:
    """Count the n-grams of a part, range by range, numbered as in the whole corpus.

    No n-gram is left out: one that is rare here may be frequent in another part. Raises
    `TooManyGramsError`.
    """
    rank_of = dict(zip(words.names, range(1, len(words.names) + 1), strict=True))
    ranks = np.array([0] * FIRST + [rank_of.get(name, 0) for name in stream.names], np.int32)
    every = Limits(limits.n_min, limits.n_max, 1, np.inf)
    grams = count_grams(*token_positions(stream.ids, ranks), len(words.names), every)
    grams = replace(grams, rows=grams.rows + np.int32(first_row),
                    first=grams.first + np.int32(first_spot))  # fmt: skip
    ends = np.searchsorted(grams.places[0], words.edges)
    starts = [0, *ends[:-1].tolist()]
    return [
        _slice_grams(grams, start, end) for start, end in zip(starts, ends.tolist(), strict=True)
    ]


def merge_grams(parts: Sequence[Grams], limits: Limits) -> Grams:
    """Return the n-grams of all parts in one range that are within the limits."""
    joined = Grams.join(parts)
    order = np.lexsort(joined.places[::-1])  # stable: of equal n-grams, part by part
    places = [place[order] for place in joined.places]
    new = np.logical_or.reduce([mark_changes(place) for place in places])
    start = np.flatnonzero(new)
    df = np.add.reduceat(joined.df[order], start).astype(np.int32)
    kept = (df >= limits.low) & (df <= limits.high)
    # Their documents, n-gram by n-gram and then part by part.
    within = order[kept[np.cumsum(new) - 1]]
    sizes = joined.df[within]
    begin = (np.cumsum(joined.df, dtype=np.int64) - joined.df)[within]
    at = np.repeat(begin - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
    start = start[kept]
    return Grams([place[start] for place in places], df[kept], joined.first[order[start]],
                 joined.rows[at], joined.counts[at])  # fmt: skip


def _slice_grams(grams: Grams, start: int, end: int) -> Grams:
    """Return consecutive n-grams as separate arrays."""
    ends = np.concatenate([[0], np.cumsum(grams.df, dtype=np.int64)])
    these, elements = slice(start, end), slice(ends[start], ends[end])
    return Grams(
        [place[these].copy() for place in grams.places],
        *(_copy_slice(grams, name, these) for name in ("df", "first")),
        *(_copy_slice(grams, name, elements) for name in ("rows", "counts")),
    )


def _copy_slice(grams: Grams, name: str, where: slice) -> Any:
    return getattr(grams, name)[where].copy()
