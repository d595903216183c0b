"""Count the n-grams of a stream of integer tokens, and find those of a vocabulary in it.

The stream is two arrays of the same length: `tokens`, the rank of each token (from 1, in the order
of the strings), 0 where no n-gram may pass (the end of a document, a token that does not count),
and `documents`, the row of each token. An n-gram is one int64: rank after rank, in as many bits as
the largest needs, and 0 for the places that a shorter one leaves empty. The order of the integers
is then that of the strings ``" ".join(words)``, if no word holds a character up to the space.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shelfmark.core.arrays import Array, Ints, SmallInts, SparseRows
from shelfmark.core.parallel import map_threads
from shelfmark.tfidf.tokens import END, FIRST, Stream

_SHARD = 1 << 18  # tokens at which the n-grams of one shard start
_BLOCK = 1 << 16  # terms whose ranks are Python objects at a time
_MIX = np.uint64(0x9E3779B97F4A7C15)


class TooManyGramsError(Exception):
    """The n-grams do not fit in 63 bits."""


@dataclass(frozen=True)
class Grams:
    """Distinct n-grams in the order of their strings, and their occurrences.

    Args:
        places: for each position, the rank of the word there, 0 if the n-gram is shorter.
        df: the number of documents of each n-gram.
        first: the index of its first token.
        rows: the documents of each n-gram, sorted by n-gram, then by document.
        counts: the counts in these documents.
    """

    places: list[SmallInts]
    df: SmallInts
    first: SmallInts
    rows: SmallInts
    counts: SmallInts

    @classmethod
    def join(cls, parts: Sequence[Grams]) -> Grams:
        """Return the n-grams of several parts, one part after the other."""
        places = zip(*(part.places for part in parts), strict=True)
        return cls(
            [np.concatenate(place) for place in places],
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("df", "first", "rows", "counts")
            ),
        )

    def take(self, kept: NDArray[np.bool_]) -> Grams:
        """Return some of the n-grams, in the same order."""
        within = np.repeat(kept, self.df)
        return Grams(
            [place[kept] for place in self.places],
            self.df[kept],
            self.first[kept],
            self.rows[within],
            self.counts[within],
        )

    def first_seen_order(self) -> NDArray[np.intp]:
        """Return the order in which scikit-learn meets the n-grams, shape (n_grams,).

        It reads document by document, in each the shorter n-grams before the longer.
        """
        row = self.rows[np.cumsum(self.df) - self.df]
        size = np.sum([place > 0 for place in self.places], axis=0)
        return np.lexsort((self.first, row.astype(np.int64) * (len(self.places) + 1) + size))

    def terms(self, words: list[str]) -> list[str]:
        """Return the strings of the n-grams; `words[r - 1]` is the word of rank r."""
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
        """Return the counts, canonical int32 CSC of shape (n_documents, n_grams)."""
        shape = (n_documents, len(self.df))
        return sp.csc_array((self.counts, self.rows, make_indptr(self.df)), shape=shape)


@dataclass(frozen=True)
class Limits:
    """The n-grams to count: fewest and most words, fewest and most documents."""

    n_min: int
    n_max: int
    low: float
    high: float


def count_grams(
    tokens: SmallInts, documents: SmallInts, n_ranks: int, limits: Limits, jobs: int = 1
) -> Grams:
    """Count the n-grams whose document frequency is within the limits; `tokens` ends with a 0.

    Raises:
        TooManyGramsError: the n-grams need more than 63 bits.
    """
    # n-grams that start with different words are counted in separate shards, each small enough for
    # the cache, by several threads.
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

    That rank and the position of an n-gram count from the start of the shard, to need few bits.
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
    """Return the indices of the grams that occur `low` times, and by chance of a few others."""
    bits = min(max(len(grams).bit_length(), 10), 22)
    bucket = hash_to_bits(grams, bits)
    return np.flatnonzero(np.bincount(bucket)[bucket] >= low)


def _renumber(levels: list[tuple[Ints, Ints]]) -> tuple[list[tuple[Ints, Ints]], Ints]:
    """Return the grams as their ranks among the distinct grams, and the grams by rank."""
    known = [np.unique(gram, return_inverse=True) for gram, _ in levels]
    table = np.sort(np.concatenate([grams for grams, _ in known]))
    numbers = (np.searchsorted(table, grams)[at] for grams, at in known)
    return [(number, level[1]) for number, level in zip(numbers, levels, strict=True)], table


def _tally(
    spots: Ints, spot_bits: int, documents: SmallInts, limits: Limits
) -> tuple[Ints, SmallInts, Ints, SmallInts, SmallInts]:
    """Count the grams within the limits; a spot is a gram and its index in `documents`.

    Returns:
        The grams and the other fields of `Grams`, `first` as an index into `documents`.
    """
    spots.sort()
    at = spots & ((1 << spot_bits) - 1)
    spots >>= spot_bits
    rows = documents[at]
    new_gram = mark_changes(spots)
    pair = np.flatnonzero(new_gram | mark_changes(rows))
    counts = np.diff(pair, append=len(spots)).astype(np.int32)
    rows = rows[pair]
    start = np.flatnonzero(new_gram)
    df = np.diff(np.searchsorted(pair, start), append=len(pair)).astype(np.int32)
    kept = (df >= limits.low) & (df <= limits.high)
    within = np.repeat(kept, df)
    start = start[kept]
    return spots[start], df[kept], at[start], rows[within], counts[within]


def _places(grams: Ints, tables: Iterable[Ints | None], bits: int) -> list[SmallInts]:
    """Return the ranks in each gram, position by position."""
    places = []
    for table in reversed(list(tables)):
        places.append((grams & ((1 << bits) - 1)).astype(np.int32))
        grams = grams >> bits
        grams = grams if table is None else table[grams]
    return [grams.astype(np.int32), *reversed(places)]


def hash_to_bits(grams: Ints, bits: int) -> Ints:
    """Return a hash of each integer, of so many bits."""
    mixed: Ints = (grams.view(np.uint64) * _MIX >> np.uint64(64 - bits)).view(np.int64)
    return mixed


def mark_changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each element whether it differs from the one before; True for the first."""
    differs = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs


def make_indptr(sizes: NDArray[Any]) -> NDArray[Any]:
    """Return the `indptr` of rows or columns of these sizes, int32 if that is enough."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return ends.astype(np.int32) if ends[-1] <= np.iinfo(np.int32).max else ends


class _Finder:
    """Finds integers among `keys`, which are sorted and distinct."""

    def __init__(self, keys: Ints) -> None:
        self.keys = keys
        self.bits = max(len(keys).bit_length() + 1, 4)
        home = hash_to_bits(keys, self.bits)
        self.slots = np.zeros(1 << self.bits, np.int32)
        number = np.arange(len(keys), dtype=np.int32)
        self.slots[home] = number
        self.shared = np.zeros(1 << self.bits, np.bool_)
        self.shared[home[self.slots[home] != number]] = True

    def __call__(self, query: Ints) -> tuple[NDArray[np.intp], SmallInts]:
        """Return the indices of the elements of `query` that are keys, and those of the keys."""
        home = hash_to_bits(query, self.bits)
        at = self.slots[home]
        matches = self.keys[at] == query
        rest = np.flatnonzero(~matches & self.shared[home])
        if len(rest):
            at[rest] = np.minimum(np.searchsorted(self.keys, query[rest]), len(self.keys) - 1)
            matches[rest] = self.keys[at[rest]] == query[rest]
        hit = np.flatnonzero(matches)
        return hit, at[hit]


@dataclass(frozen=True)
class Terms:
    """The terms of a vocabulary as numbers.

    Args:
        ranks: the words of the terms, numbered from 1.
        grams: the ranks of the words of each term, then zeros, shape (n_terms, longest). A term
            that is longer than any n-gram is cut to one word more than the longest n-gram.
        columns: the column of each term.
        fields: of the documents, each with terms of its own: the first word of a term of field f
            has the rank of the word + f x words.
    """

    ranks: Mapping[str, int]
    grams: SmallInts
    columns: SmallInts
    fields: int = 1

    @classmethod
    def of(cls, vocabulary: Mapping[str, int], n_max: int) -> Terms:
        """Split the terms of a vocabulary into words; with `n_max` 1 each term is a word."""
        columns = np.fromiter(vocabulary.values(), np.int32, len(vocabulary))
        words, sizes = list(vocabulary), np.ones(len(vocabulary), np.intp)
        if n_max > 1:
            sizes += [term.count(" ") for term in words]
            words = " ".join(words).split(" ")
        # The strings of the vocabulary itself, where they exist, to save memory.
        alone = (term for term, size in zip(vocabulary, sizes.tolist(), strict=True) if size == 1)
        distinct = dict.fromkeys(chain(alone, words))
        ranks = dict(zip(distinct, range(1, len(distinct) + 1), strict=True))
        numbers = np.fromiter(map(ranks.__getitem__, words), np.int32, len(words))
        return cls(ranks, _as_rows(numbers, sizes, n_max), columns)

    @classmethod
    def of_stream(cls, stream: Stream, n_max: int) -> Terms:
        """Return the terms whose words are the documents of a stream, in the order of the columns.

        All of them may have several words.
        """
        ends = np.flatnonzero(stream.ids == END)
        numbers = stream.ids[stream.ids != END] - np.int32(FIRST - 1)
        ranks = dict(zip(stream.names, range(1, len(stream.names) + 1), strict=True))
        rows = _as_rows(numbers, np.diff(ends, prepend=-1) - 1, n_max)
        return cls(ranks, rows, np.arange(len(ends), dtype=np.int32))


def join_fields(parts: Sequence[Terms]) -> Terms:
    """Return the terms of all fields, their columns side by side, their words numbered alike."""
    if len(parts) == 1:
        return parts[0]
    ranks: dict[str, int] = {}
    numbers = []
    for part in parts:
        own = np.zeros(len(part.ranks) + 1, np.int32)
        for word, rank in part.ranks.items():
            own[rank] = ranks.setdefault(word, len(ranks) + 1)
        numbers.append(own)
    width = max(part.grams.shape[1] for part in parts)
    grams = np.zeros((sum(len(part.grams) for part in parts), width), np.int32)
    columns, begin = [], 0
    for field, (part, own) in enumerate(zip(parts, numbers, strict=True)):
        rows = grams[begin : begin + len(part.grams)]
        rows[:, : part.grams.shape[1]] = own[part.grams]
        rows[:, 0] += np.int32(field * len(ranks))
        columns.append(part.columns + np.int32(begin))
        begin += len(part.grams)
    return Terms(ranks, grams, np.concatenate(columns), len(parts))


def _as_rows(numbers: SmallInts, sizes: NDArray[np.intp], n_max: int) -> SmallInts:
    """Return the words of terms as rows, a term of more than `n_max` words cut to one word more."""
    width = int(sizes.max(initial=n_max))
    if width > n_max + 1:  # one word too many is enough to tell what no document holds
        width = n_max + 1
        places = np.arange(len(numbers)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        numbers = numbers[places < width]
    grams = np.zeros((len(sizes), width), np.int32)
    grams[np.arange(width) < sizes[:, None]] = numbers
    return grams


class Trie:
    """Finds the n-grams of a vocabulary in streams of tokens.

    Terms of fewer than `n_min` or more than `n_max` words are ignored.
    """

    def __init__(self, terms: Terms, n_min: int, n_max: int) -> None:
        self.ranks = terms.ranks
        words = len(self.ranks)
        # How many terms hold each word, by rank: frequent words are in more terms.
        first = terms.grams[:, 0] - (np.maximum(terms.grams[:, 0], 1) - 1) // max(words, 1) * words
        self.uses = np.bincount(first, minlength=words + 1)
        self.uses += np.bincount(terms.grams[:, 1:].ravel(), minlength=words + 1)
        sizes = np.count_nonzero(terms.grams, axis=1)
        kept = (sizes >= n_min) & (sizes <= n_max)
        grams, sizes, columns = terms.grams[kept], sizes[kept], terms.columns[kept]
        self.bits = words.bit_length()
        self.n_terms = len(terms.columns)
        self.column_bits = self.n_terms.bit_length()
        node = grams[:, 0]
        self.columns = [_by_node(node, sizes == 1, columns, terms.fields * words + 1)]
        self.finders = []
        for n in range(2, n_max + 1):
            longer = sizes >= n
            grams, sizes, columns = grams[longer], sizes[longer], columns[longer]
            node = node[longer]
            if not len(node):
                break
            key = node.astype(np.int64) << self.bits | grams[:, n - 1]
            keys, node = np.unique(key, return_inverse=True)
            self.finders.append(_Finder(keys))
            self.columns.append(_by_node(node, sizes == n, columns, len(keys)))

    def find(self, tokens: SmallInts, documents: SmallInts, n_documents: int) -> sp.csr_array:
        """Return the counts of the terms, canonical int32 CSR of shape (n_documents, n_terms).

        `tokens` are `ranks`, 0 for other words, and end with a 0.
        """
        rows = self.count(tokens, tokens, documents, n_documents)
        shape = (n_documents, self.n_terms)
        return sp.csr_array((rows.values, rows.columns, rows.bounds), shape=shape)

    def knows(self, word: str) -> bool:
        """Whether a word is a term by itself."""
        return bool(self.columns[0][self.ranks.get(word, 0)] >= 0)

    def count(
        self, tokens: SmallInts, first: SmallInts, documents: SmallInts, n_documents: int
    ) -> SparseRows:
        """Return the counts of the terms, int32, by document.

        Args:
            tokens: as `find` takes them.
            first: the numbers of the same tokens as the first words of terms of their fields.
            documents: the document of each token.
            n_documents: their number.
        """
        if (n_documents - 1).bit_length() + self.column_bits > 31:
            documents = documents.astype(np.int64)  # smaller integers are sorted faster
        positions, found = zip(*self._walk(tokens, first), strict=True)
        column = np.concatenate(found)
        term = np.flatnonzero(column >= 0)
        # Document and column in one integer.
        ordered: Array = documents[np.concatenate(positions)[term]] << self.column_bits
        ordered |= column[term]
        ordered.sort()
        starts = np.flatnonzero(mark_changes(ordered))
        counts = np.empty(len(starts), np.int32)
        counts[:-1] = starts[1:] - starts[:-1]
        counts[-1:] = len(ordered) - starts[-1:]
        ordered = ordered[starts]
        columns = (ordered & ((1 << self.column_bits) - 1)).astype(np.int32)
        sizes = np.bincount(ordered >> self.column_bits, minlength=n_documents)
        return SparseRows(columns, counts, make_indptr(sizes))

    def _walk(self, tokens: SmallInts, first: SmallInts) -> Iterator[tuple[Ints, SmallInts]]:
        """Yield where n-grams of each length begin, and their columns, -1 where no term is."""
        position = np.flatnonzero(tokens)
        node: SmallInts = first[position]
        yield position, self.columns[0][node]
        for n, finder in enumerate(self.finders, 1):
            follower = tokens[position + n]
            joined = np.flatnonzero(follower)
            query = node[joined].astype(np.int64) << self.bits | follower[joined]
            hit, node = finder(query)
            position = position[joined[hit]]
            yield position, self.columns[n][node]


def _by_node(
    node: NDArray[Any], ends: NDArray[np.bool_], columns: SmallInts, size: int
) -> SmallInts:
    """Return the column of each node, -1 where no term ends."""
    table = np.full(size, -1, np.int32)
    table[node[ends]] = columns[ends]
    return table
