"""Joins the papers found by meaning and by words into one ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from shelfmark.arxiv import taxonomy
from shelfmark.core.arrays import Doubles, Ints

CONSTANT = 60  # of reciprocal rank fusion


def fuse(meaning: Ints, words: Ints, weight: float) -> tuple[Ints, Doubles]:
    """Return the papers of two rankings, the best first, and their scores, of shape (papers,).

    By reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009. A paper of both rankings
    has the sum of two scores. Of equals, the one that is higher in `meaning` comes first.

    Args:
        meaning: rows by descending similarity, int64.
        words: rows by descending BM25, int64.
        weight: of the words, 0 to 1; that of the meaning is the rest.
    """
    rows, place = np.unique(np.concatenate([meaning, words]), return_inverse=True)
    scores = np.zeros(len(rows))
    for ranks, share, begin in ((meaning, 1 - weight, 0), (words, weight, len(meaning))):
        mine = place[begin : begin + len(ranks)]
        scores[mine] += share / (CONSTANT + 1 + np.arange(len(ranks)))
    first = np.full(len(rows), len(place))
    np.minimum.at(first, place, np.arange(len(place)))
    order = np.lexsort([first, -scores])
    return rows[order], scores[order]


def boost(
    rows: Ints,
    scores: Doubles,
    categories: Sequence[str],
    shelf: Mapping[str, float],
    weight: float,
) -> tuple[Ints, Doubles]:
    """Return papers ordered by their scores and by how probable their categories are.

    A score is its share of the best one; the new one is (1 - weight) of it and weight times the
    probability of the paper's primary category, `rows` and scores of shape (papers,).

    Args:
        rows: of the papers.
        scores: of the papers, the best first.
        categories: the primary category of each paper.
        shelf: the probability of each category, archive or group.
        weight: 0 to 1.
    """
    if not len(rows):
        return rows, scores
    probable = np.array([_probability(shelf, category) for category in categories])
    mixed = (1 - weight) * scores / scores[0] + weight * probable
    order = np.argsort(-mixed, kind="stable")
    return rows[order], mixed[order]


def _probability(shelf: Mapping[str, float], category: str) -> float:
    names = (category, taxonomy.archive_of(category), taxonomy.group_of(category) or "")
    return next((shelf[name] for name in names if name in shelf), 0.0)
