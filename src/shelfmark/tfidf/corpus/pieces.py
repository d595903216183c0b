"""The second pass over a corpus: the n-grams of a part, with their papers by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shelfmark.core.arrays import Array, Ints, SmallInts
from shelfmark.tfidf.corpus.fields import CorpusPart, Field
from shelfmark.tfidf.corpus.sorting import mark_new_rows, shrink, sort_rows
from shelfmark.tfidf.corpus.words import RankedWords, order_key
from shelfmark.tfidf.counts import token_positions

_SHARD = 1 << 19  # tokens at which the n-grams that are counted at once start


@dataclass(frozen=True)
class Piece:
    """The n-grams of a part in one range, a row for each class that has one; sorted.

    Args:
        places: for each position, the rank of the word there, 0 if the n-gram is shorter.
        classes: the class plus one; 0 for papers without a class.
        papers: the number of papers of the part and the class that have the n-gram.
        times: how often it occurs in them, None if that is not needed.
    """

    places: list[SmallInts]
    classes: Array
    papers: Array
    times: Array | None

    @property
    def columns(self) -> list[Array]:
        """The arrays, each of shape (rows,), as a new list."""
        rest = [] if self.times is None else [self.times]
        return [*self.places, self.classes, self.papers, *rest]

    @classmethod
    def of(cls, columns: Sequence[Array], positions: int) -> Piece:
        """Return the piece of its columns, of n-grams of so many positions at most."""
        classes, papers, *times = columns[positions:]
        return cls([*columns[:positions]], classes, papers, times[0] if times else None)


def join_columns(pieces: Sequence[Piece]) -> list[Array]:
    """Return the columns of several pieces, one piece after the other, in their shapes."""
    numbers = range(len(pieces[0].columns))
    return [np.concatenate([piece.columns[i] for piece in pieces]) for i in numbers]


def count_part(
    part: CorpusPart, fields: Sequence[Field], words: Sequence[RankedWords], by_class: bool
) -> list[list[Piece]]:
    """Return the n-grams of each field of a part, range by range.

    None is left out: one that is rare here may be frequent in another part.

    Args:
        part: to read.
        fields: of the papers.
        words: of each field.
        by_class: whether the papers are counted for each class; if not, none has a class.

    Raises:
        ShelfmarkError: as `Field.reader`.
    """
    texts, labels = part.read()
    classes = labels + 1 if by_class else np.zeros(len(labels), np.int32)
    # The papers of one class follow one another, so that sorting by paper sorts by class.
    order = np.argsort(classes, kind="stable")
    papers = np.empty(len(order), np.int32)
    papers[order] = np.arange(len(order), dtype=np.int32)
    pieces = []
    for field, ranked in zip(fields, words, strict=True):
        ids, ranks = ranked.rank_stream(field.documents(texts), field.reader())
        tokens, rows = token_positions(ids, ranks)
        pieces.append(
            _split(_count(field, tokens, papers[rows[:-1]], classes[order]), ranked.edges)
        )
    return pieces


def _count(field: Field, tokens: SmallInts, papers: SmallInts, classes: SmallInts) -> Piece:
    """Return the n-grams of a stream; `papers` has the paper of each token, `classes` its class."""
    # The words of one part need fewer bits than those of the corpus.
    used, tokens = _renumber(tokens)
    n_min, n_max = field.vectorizer.ngram_range
    # n-grams that start with different words are counted apart, to need less memory at once.
    shards = []
    for first, end in pairwise(_cut_words(tokens)):
        starts = np.flatnonzero((tokens >= first) & (tokens < end))
        columns = _find_grams(tokens, starts, papers, n_min, n_max)
        shards.append(_tally(columns, used, classes, field.counts_times))
    return Piece.of(join_columns(shards), n_max)


def _cut_words(tokens: SmallInts) -> list[int]:
    """Return the ranks at which the shards of a stream begin, and the rank after the last."""
    ends = np.cumsum(np.bincount(tokens, minlength=2)[1:])
    shares = np.linspace(0, ends[-1], int(ends[-1]) // _SHARD + 2)[1:-1]
    cuts: list[int] = np.unique([1, *(np.searchsorted(ends, shares) + 2), len(ends) + 1]).tolist()
    return cuts


def _renumber(tokens: SmallInts) -> tuple[SmallInts, SmallInts]:
    """Return the ranks that occur, and the stream with their indices instead; 0 stays 0."""
    occurs = np.bincount(tokens, minlength=1) > 0
    occurs[0] = True
    index = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(occurs).astype(np.int32), index[tokens]


def _find_grams(
    tokens: SmallInts, at: NDArray[np.intp], papers: SmallInts, n_min: int, n_max: int
) -> list[SmallInts]:
    """Return the ranks of the n-grams that start at some tokens, by position, and their papers."""
    starts = []
    for n in range(1, n_max + 1):
        at = at[tokens[at + (n - 1)] > 0] if n > 1 else at
        if n >= n_min:
            starts.append(at)
    sizes = range(n_min, n_max + 1)
    places = [
        np.concatenate(
            [
                tokens[at + k] if k < n else np.zeros(len(at), np.int32)
                for n, at in zip(sizes, starts, strict=True)
            ]
        )
        for k in range(n_max)
    ]
    return [*places, np.concatenate([papers[at] for at in starts])]


def _tally(columns: list[SmallInts], used: SmallInts, classes: SmallInts, times: bool) -> Piece:
    """Return the counts of n-grams; `used` has the rank of each word, `classes` each paper's."""
    *places, papers = sort_rows(columns)
    pairs = np.flatnonzero(mark_new_rows([*places, papers]))
    places, of_pair = [place[pairs] for place in places], shrink(classes[papers[pairs]])
    starts = np.flatnonzero(mark_new_rows([*places, of_pair]))
    counts = np.diff(starts, append=len(pairs))
    occurrences = np.diff(pairs[starts], append=len(papers)) if times else None
    return Piece([used[place[starts]] for place in places], of_pair[starts], counts, occurrences)


def _split(piece: Piece, edges: Ints) -> list[Piece]:
    """Return the pieces of the ranges."""
    cuts = [0, *np.searchsorted(order_key(piece.places), edges).tolist(), len(piece.papers)]
    return [
        Piece.of(
            [
                *(place[a:b] for place in piece.places),
                *(shrink(column[a:b]) for column in piece.columns[len(piece.places) :]),
            ],
            len(piece.places),
        )
        for a, b in pairwise(cuts)
    ]
