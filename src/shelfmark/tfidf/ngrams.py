"""Count the n-grams of a stream of integer tokens.

The stream is two arrays of the same length: `tokens`, the rank of each token
(from 1, in the order of the strings) with 0 where no n-gram may pass (the end
of a document, a token that cannot count), and `documents`, whose row each is.
An n-gram is one int64: rank after rank, in as many bits as the largest takes,
and 0 for the places a shorter one leaves empty, so that the order of the
integers is the order of the strings ``" ".join(words)`` if no word holds a
character up to the space.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shelfmark.core.arrays import Ints, SmallInts
from shelfmark.core.parallel import map_threads

__all__ = [
    "Grams", "Ints", "Limits", "SmallInts", "TooManyGramsError",
    "changes", "count_grams", "hashed", "indptr",
]  # fmt: skip


_SHARD = 1 << 18  # tokens at which the n-grams that are counted together start
_BLOCK = 1 << 16  # terms whose ranks are Python objects at once
_MIX = np.uint64(0x9E3779B97F4A7C15)


class TooManyGramsError(Exception):
    """The n-grams do not fit in 63 bits."""


@dataclass(frozen=True)
class Grams:
    """Distinct n-grams in the order of their strings, and where they occur.

    `places[k]` has the rank of word k of each n-gram (0: it is shorter), `df`
    the number of its documents and `first` where in the tokens it comes first;
    `rows` and `counts` have one element for each n-gram and document, by n-gram
    and then by document.
    """

    places: list[SmallInts]
    df: SmallInts
    first: SmallInts
    rows: SmallInts
    counts: SmallInts

    @classmethod
    def join(cls, parts: Sequence[Grams]) -> Grams:
        """One after the other."""
        places = zip(*(part.places for part in parts), strict=True)
        return cls(
            [np.concatenate(place) for place in places],
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("df", "first", "rows", "counts")
            ),
        )

    def take(self, kept: NDArray[np.bool_]) -> Grams:
        """Some of the n-grams, in the same order."""
        within = np.repeat(kept, self.df)
        return Grams(
            [place[kept] for place in self.places],
            self.df[kept],
            self.first[kept],
            self.rows[within],
            self.counts[within],
        )

    def seen(self) -> NDArray[np.intp]:
        """The order in which scikit-learn meets the n-grams, shape (n-grams,).

        That is document by document, and there the shorter before the longer.
        """
        row = self.rows[np.cumsum(self.df) - self.df]
        size = np.sum([place > 0 for place in self.places], axis=0)
        return np.lexsort((self.first, row.astype(np.int64) * (len(self.places) + 1) + size))

    def terms(self, words: list[str]) -> list[str]:
        """The strings of the n-grams; `words[r - 1]` is the word of rank r."""
        first, later = ["", *words], ["", *(" " + word for word in words)]
        terms: list[str] = []
        for begin in range(0, len(self.df), _BLOCK):
            head, *tail = (place[begin : begin + _BLOCK].tolist() for place in self.places)
            block = map(first.__getitem__, head)
            for place in tail:
                block = map(operator.add, block, map(later.__getitem__, place))
            terms += block
        return terms

    def matrix(self, n_documents: int) -> sp.csc_array:
        """Counts, int32 CSC of shape (n_documents, n_grams), canonical."""
        shape = (n_documents, len(self.df))
        return sp.csc_array((self.counts, self.rows, indptr(self.df)), shape=shape)


@dataclass(frozen=True)
class Limits:
    """What to count: n-grams of so many words, in so many documents."""

    n_min: int
    n_max: int
    low: float
    high: float


def count_grams(
    tokens: SmallInts, documents: SmallInts, n_ranks: int, limits: Limits, jobs: int = 1
) -> Grams:
    """Count the n-grams whose document frequency is within the limits.

    `tokens` ends with a zero. Raises `TooManyGramsError`.
    """
    # n-grams that start with different words have nothing in common: shards of
    # them are counted apart, small enough for the cache and in several threads.
    sizes = np.cumsum(np.bincount(tokens, minlength=n_ranks + 1)[1:])
    n_shards = max(jobs, int(sizes[-1]) // _SHARD if len(sizes) else 0)
    cuts = np.searchsorted(sizes, np.linspace(0, sizes[-1:].sum(), n_shards + 1)[1:-1])
    edges = np.unique(np.concatenate([[0], cuts + 1, [max(n_ranks, 1)]])) + 1
    shard = partial(_count_shard, tokens, documents, n_ranks.bit_length(), limits)
    parts = map_threads(
        jobs, shard, list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    )
    return Grams.join(parts)


def _count_shard(
    tokens: SmallInts, documents: SmallInts, bits: int, limits: Limits, ranks: tuple[int, int]
) -> Grams:
    """Count the n-grams whose first word has a rank in ``range(*ranks)``.

    That rank, and where an n-gram is, are numbers within the shard, to take few bits.
    """
    position = np.flatnonzero((tokens >= ranks[0]) & (tokens < ranks[1]))
    spot_bits = len(position).bit_length()
    levels = [(tokens[position].astype(np.int64) - ranks[0], np.arange(len(position)))]
    width, tables = (ranks[1] - ranks[0]).bit_length(), []
    for n in range(2, limits.n_max + 1):
        table = None
        if width + bits + spot_bits > 63:
            levels, table = _renumber(levels)
            width = len(table).bit_length()
            if width + bits + spot_bits > 63:
                raise TooManyGramsError
        gram, spot = levels[-1]
        if n > 2 and limits.low > 1:
            # An n-gram is in no more documents than the n-gram it starts with.
            often = _frequent(gram, limits.low)
            gram, spot = levels[-1] = gram[often], spot[often]
        follower = tokens[position[spot] + (n - 1)]
        joined = np.flatnonzero(follower)
        longer = gram[joined] << bits | follower[joined]
        levels = [(gram << bits, spot) for gram, spot in levels]
        levels.append((longer, spot[joined]))
        tables.append(table)
        width += bits
    spots = np.concatenate([gram << spot_bits | at for gram, at in levels[limits.n_min - 1 :]])
    grams, df, first, rows, counts = _tally(spots, spot_bits, documents[position], limits)
    places = _places(grams, tables, bits)
    places[0] += np.int32(ranks[0])
    return Grams(places, df, position[first].astype(np.int32), rows, counts)


def _frequent(grams: Ints, low: float) -> NDArray[np.intp]:
    """Where the grams are that occur `low` times, and by chance a few others."""
    bits = min(max(len(grams).bit_length(), 10), 22)
    bucket = hashed(grams, bits)
    return np.flatnonzero(np.bincount(bucket)[bucket] >= low)


def _renumber(levels: list[tuple[Ints, Ints]]) -> tuple[list[tuple[Ints, Ints]], Ints]:
    """The grams by their rank among those there are, and the grams by rank."""
    known = [np.unique(gram, return_inverse=True) for gram, _ in levels]
    table = np.sort(np.concatenate([grams for grams, _ in known]))
    numbers = (np.searchsorted(table, grams)[at] for grams, at in known)
    return [(number, level[1]) for number, level in zip(numbers, levels, strict=True)], table


def _tally(
    spots: Ints, spot_bits: int, documents: SmallInts, limits: Limits
) -> tuple[Ints, SmallInts, Ints, SmallInts, SmallInts]:
    """Count the grams that are within the limits; a spot is a gram and where it is.

    Returns the grams and the other fields of `Grams`, `first` as a place in `documents`.
    """
    spots.sort()
    at = spots & ((1 << spot_bits) - 1)
    spots >>= spot_bits
    rows = documents[at]
    new_gram = changes(spots)
    pair = np.flatnonzero(new_gram | changes(rows))
    counts = np.diff(pair, append=len(spots)).astype(np.int32)
    rows = rows[pair]
    start = np.flatnonzero(new_gram)
    df = np.diff(np.searchsorted(pair, start), append=len(pair)).astype(np.int32)
    kept = (df >= limits.low) & (df <= limits.high)
    within = np.repeat(kept, df)
    start = start[kept]
    return spots[start], df[kept], at[start], rows[within], counts[within]


def _places(grams: Ints, tables: Iterable[Ints | None], bits: int) -> list[SmallInts]:
    """The ranks in each gram, word by word."""
    places = []
    for table in reversed(list(tables)):
        places.append((grams & ((1 << bits) - 1)).astype(np.int32))
        grams = grams >> bits
        grams = grams if table is None else table[grams]
    return [grams.astype(np.int32), *reversed(places)]


def hashed(grams: Ints, bits: int) -> Ints:
    """Scatter integers over so many bits."""
    mixed: Ints = (grams.view(np.uint64) * _MIX >> np.uint64(64 - bits)).view(np.int64)
    return mixed


def changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """For each of the elements, whether it differs from the one before it; the first does."""
    differs = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs


def indptr(sizes: NDArray[Any]) -> NDArray[Any]:
    """The `indptr` of rows or columns of these sizes, in as few bytes as serve."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return ends.astype(np.int32) if ends[-1] <= np.iinfo(np.int32).max else ends
