"""The terms of one range of a corpus: its pieces merged, their limits, what each term is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfmark.core.arrays import Array, Doubles, Ints, SmallInts
from shelfmark.tfidf.corpus.pieces import Piece, join_columns
from shelfmark.tfidf.corpus.sorting import mark_new_rows, sort_rows
from shelfmark.tfidf.ngrams import Limits, mark_changes

Flags = NDArray[np.bool_]

SMOOTHING = 10.0
"""Papers by which the classes of a term's papers are drawn towards those of all papers."""


@dataclass(frozen=True)
class RangeTerms:
    """The terms of one range, in the order of their strings.

    Args:
        places: for each position, the rank of the word there, 0 if the term is shorter.
        df: the number of papers of each term.
        times: how often each occurs, None if that is not needed.
        worth: what it says about the class of its papers, None if that is not needed.
    """

    places: list[SmallInts]
    df: SmallInts
    times: Ints | None
    worth: Doubles | None


def merge_range(
    pieces: Sequence[Piece], limits: Limits, papers: Ints | None, smoothing: float = SMOOTHING
) -> RangeTerms:
    """Return the terms of one range that are within the limits.

    Args:
        pieces: of the range, of all parts; at least one.
        limits: of the document frequencies.
        papers: how many papers have no class, then how many have each class; None if the worth of
            the terms is not needed.
        smoothing: as in `weigh_terms`.
    """
    positions, columns = len(pieces[0].places), join_columns(pieces)
    del pieces  # the caller may have kept none of them
    rows = Piece.of(sort_rows(columns), positions)
    new = mark_new_rows(rows.places)
    starts = np.flatnonzero(new)
    df = _add_runs(rows.papers, starts)
    kept = (df >= limits.low) & (df <= limits.high)
    places = [place[starts[kept]] for place in rows.places]
    times = None if rows.times is None else _add_runs(rows.times, starts)[kept]
    worth = None
    if papers is not None:
        within = np.repeat(kept, np.diff(starts, append=len(new)))
        new, classes, counts = new[within], rows.classes[within], rows.papers[within]
        del rows, starts, within  # most rows are of rare n-grams
        worth = _weigh_rows(new, classes, counts, papers, smoothing)
    return RangeTerms(places, df[kept].astype(np.int32), times, worth)


def _weigh_rows(
    new: Flags, classes: Array, counts: Array, papers: Ints, smoothing: float
) -> Doubles:
    """Return the worth of each term; `new` marks its first row, its classes rise."""
    pairs = np.flatnonzero(new | mark_changes(classes))
    terms = np.cumsum(new[pairs], dtype=np.int32) - np.int32(1)
    counts, classes = _add_runs(counts, pairs), classes[pairs]
    classed = classes > 0
    return weigh_terms(
        terms[classed],
        classes[classed].astype(np.int32) - np.int32(1),
        counts[classed],
        int(np.count_nonzero(new)),
        papers[1:],
        smoothing,
    )


def weigh_terms(
    terms: SmallInts, classes: SmallInts, counts: Ints, n_terms: int, papers: Ints, smoothing: float
) -> Doubles:
    """Return the leave-one-out information gain of each term, in nats, shape (n_terms,).

    It is the sum over the term's papers of the logarithm of the probability of the paper's class
    among the other papers of the term, over its probability among all papers. A term that is in
    one paper only has the worth 0.

    Args:
        terms: of each pair of a term and a class that have papers in common.
        classes: of each pair.
        counts: the number of papers of each pair.
        n_terms: how many terms there are.
        papers: the number of papers of each class.
        smoothing: how many papers of the classes of the corpus are added to those of a term.
    """
    prior = smoothing * papers / max(int(papers.sum()), 1)
    totals = np.bincount(terms, counts, minlength=n_terms)
    of_pair = prior[classes]
    gain = np.log((counts - 1 + of_pair) / ((totals[terms] - 1 + smoothing) * of_pair / smoothing))
    return np.bincount(terms, counts * gain, minlength=n_terms).astype(np.float64)


def _add_runs(values: Array, starts: NDArray[np.intp]) -> Ints:
    """Return the sum of each run of values, int64 of shape (runs,)."""
    if not len(starts):
        return np.zeros(0, np.int64)
    return np.add.reduceat(values, starts, dtype=np.int64)
