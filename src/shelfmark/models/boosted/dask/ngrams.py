"""Count the n-grams of a corpus in separate parts: exactly the numbers of `counts.count`.

Each part reads its documents (`read_part`) and reports which words it has, how often
(`summarize_part`). One process ranks the words of all parts (`rank_words`) and cuts them into
ranges. Each part then counts its n-grams, range by range (`count_part`); the counts of all parts in
one range are merged apart from the other ranges (`merge_grams`), and the ranges one after the other
are the whole.
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

    `longest` is the most tokens of a document.
    """

    times: dict[str, int]
    length: int
    longest: int


@dataclass(frozen=True)
class Words:
    """The words by rank, from 1, and where ranges of equal work end: ranks, themselves excluded."""

    names: list[str]
    edges: list[int]


def read_part(documents: Sequence[str], reader: Reader, n_max: int) -> Stream:
    """The stream of a part. Raises `NotExactError` as `check_words`."""
    stream = read_stream(documents, reader)
    check_words(stream, reader, n_max)
    return stream


def summarize_part(stream: Stream) -> PartSummary:
    """What the others need to know of a part."""
    times = np.bincount(stream.ids, minlength=len(stream.names) + FIRST)[FIRST:].tolist()
    met = {name: count for name, count in zip(stream.names, times, strict=True) if count}
    return PartSummary(met, len(stream.ids), longest_document(stream))


def rank_words(parts: Sequence[PartSummary], limits: Limits, ranges: int) -> Words:
    """The words of all parts by rank, as `counts.rank` has them.

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
    """The n-grams of a part, range by range, numbered as in the whole corpus.

    All of them: another part may have what one is short of. Raises `TooManyGramsError`.
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
    """The n-grams of all parts in one range that are within the limits; parts in their order."""
    found = Grams.join(parts)
    order = np.lexsort(found.places[::-1])  # stable: of equal n-grams, part by part
    places = [place[order] for place in found.places]
    new = np.logical_or.reduce([mark_changes(place) for place in places])
    start = np.flatnonzero(new)
    df = np.add.reduceat(found.df[order], start).astype(np.int32)
    kept = (df >= limits.low) & (df <= limits.high)
    # Their documents, n-gram by n-gram and then part by part.
    within = order[kept[np.cumsum(new) - 1]]
    sizes = found.df[within]
    begin = (np.cumsum(found.df, dtype=np.int64) - found.df)[within]
    at = np.repeat(begin - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
    start = start[kept]
    return Grams([place[start] for place in places], df[kept], found.first[order[start]],
                 found.rows[at], found.counts[at])  # fmt: skip


def _slice_grams(grams: Grams, start: int, end: int) -> Grams:
    """Some n-grams that follow one another, as arrays of their own."""
    ends = np.concatenate([[0], np.cumsum(grams.df, dtype=np.int64)])
    these, elements = slice(start, end), slice(ends[start], ends[end])
    return Grams(
        [place[these].copy() for place in grams.places],
        *(_copy_slice(grams, name, these) for name in ("df", "first")),
        *(_copy_slice(grams, name, elements) for name in ("rows", "counts")),
    )


def _copy_slice(grams: Grams, name: str, where: slice) -> Any:
    return getattr(grams, name)[where].copy()
