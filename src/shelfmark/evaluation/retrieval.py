"""Information retrieval metrics of vectors: how well a query's vector finds the papers it should.

Papers are ranked by the inner product, which is the cosine: a vector has unit length or is zero.
Equal similarities are ranked against the encoder, the irrelevant paper first, and a difference
below `RESOLUTION` counts as equal: vectors that are all the same, or zero, gain nothing from the
order of the papers. Every metric is therefore a lower bound of its mean over all orders of the
ties.

Vectors are the rows of a float32 array, or of a sparse matrix such as TF-IDF. Similarities are
computed for a block of queries at a time, so that memory is flat for any number of queries.

Source: Manning, Raghavan, Schütze 2008, Introduction to Information Retrieval, chapter 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Array, Doubles, Floats, Ints

RESOLUTION = 1e-6  # of a similarity: a few roundings of float32
BLOCK = 1 << 24  # similarities computed at once, 64 MB
NO_PAPER = -1

Vectors: TypeAlias = Any  # Floats, or a csr_matrix, of which no types are known
# Returns, for the numbers of some queries, which papers of the pool are relevant to each: booleans
# of shape (queries, pool).
Relevance = Callable[[Ints], Array]


@dataclass(frozen=True)
class Ranking:
    """The relevance of the best ranked papers of each query.

    Args:
        relevant: booleans of shape (queries, depth), the best rank first.
        totals: the relevant papers of each query in the whole pool.
    """

    relevant: Array
    totals: Ints


def rank(
    queries: Vectors, pool: Vectors, relevance: Relevance, own: Ints | None = None,
    depth: int | None = None,
) -> Ranking:  # fmt: skip
    """Rank a pool of papers for each query.

    Args:
        queries: vectors of shape (queries, numbers).
        pool: vectors of shape (papers, numbers).
        relevance: which papers are relevant.
        own: for each query the paper of the pool that it is itself, which is left out of ranking
            and totals; `NO_PAPER` for none.
        depth: how many ranks are returned, None for all; the paper itself comes last of all.
    """
    depth = min(depth or pool.shape[0], pool.shape[0])
    found = np.zeros((queries.shape[0], depth), dtype=bool)
    totals = np.zeros(queries.shape[0], dtype=np.int64)
    for rows, similarities in _blocks(queries, pool):
        relevant = relevance(rows)
        # An even number for an irrelevant paper, the next odd one for a relevant one as similar:
        # sorted upwards, the numbers are the ranking.
        keys = np.rint(similarities * np.float32(-1 / RESOLUTION)).astype(np.int32) * 2 + relevant
        totals[rows] = relevant.sum(axis=1)
        if own is not None:
            here = np.flatnonzero(own[rows] != NO_PAPER)
            papers = own[rows][here]
            totals[rows[here]] -= relevant[here, papers]
            keys[here, papers] = np.iinfo(np.int32).max - 1
        if depth < keys.shape[1]:
            keys = np.partition(keys, depth - 1, axis=1)[:, :depth]
        found[rows] = np.sort(keys, axis=1) & 1
    return Ranking(found, totals)


def rank_known_items(queries: Vectors, pool: Vectors, targets: Ints) -> Ints:
    """Return the rank, from 1, of the one relevant paper of each query.

    Args:
        queries: vectors of shape (queries, numbers).
        pool: vectors of shape (papers, numbers).
        targets: for each query the row of its paper in the pool.
    """
    ranks = np.zeros(queries.shape[0], dtype=np.int64)
    for rows, similarities in _blocks(queries, pool):
        of_target = similarities[np.arange(len(rows)), targets[rows]]
        ranks[rows] = (similarities >= (of_target - np.float32(RESOLUTION))[:, None]).sum(axis=1)
    return ranks


def _blocks(queries: Vectors, pool: Vectors) -> Iterator[tuple[Ints, Floats]]:
    """Yield the numbers of some queries, and their similarities to all papers of the pool."""
    columns = pool.T.tocsr() if sp.issparse(pool) else np.asarray(pool).T
    step = max(1, BLOCK // max(1, pool.shape[0]))
    for start in range(0, queries.shape[0], step):
        part = queries[start : start + step]
        similarities = part @ columns
        if sp.issparse(similarities):
            similarities = similarities.toarray()
        yield np.arange(start, start + part.shape[0]), similarities


def precision_at(ranking: Ranking, count: int) -> Doubles:
    """Return, for each query, the share of relevant papers among the first `count`."""
    found: Ints = ranking.relevant[:, :count].sum(axis=1)
    return found / count


def recall_at(ranking: Ranking, count: int) -> Doubles:
    """Return, for each query, the share of its relevant papers that are among the first `count`.

    It is 0 for a query without any.
    """
    found: Ints = ranking.relevant[:, :count].sum(axis=1)
    return found / np.maximum(ranking.totals, 1)


def reciprocal_rank_at(ranking: Ranking, count: int) -> Doubles:
    """Return, for each query, 1 / rank of the first relevant paper, 0 if it is beyond `count`."""
    first = ranking.relevant[:, :count]
    return np.where(first.any(axis=1), 1 / (first.argmax(axis=1) + 1), 0.0)


def average_precision(ranking: Ranking) -> Doubles:
    """Return, for each query, the mean precision at the ranks of its relevant papers.

    The ranking has to be of the whole pool. It is 0 for a query without any.
    """
    places = np.arange(1, ranking.relevant.shape[1] + 1)
    precision = np.cumsum(ranking.relevant, axis=1) / places
    total: Doubles = (precision * ranking.relevant).sum(axis=1)
    return total / np.maximum(ranking.totals, 1)


def ndcg_at(ranking: Ranking, count: int) -> Doubles:
    """Return, for each query, the normalized discounted cumulative gain of the first `count`.

    The gain is 1 for a relevant paper. It is 0 for a query without any.

    Source: Järvelin, Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques.
    """
    first = ranking.relevant[:, :count]
    discounts = 1 / np.log2(np.arange(2, count + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(ranking.totals, count)]
    gains: Doubles = first @ discounts[: first.shape[1]]
    return gains / np.where(ideal > 0, ideal, 1)
