"""The tasks that encoders are measured by, each with its queries, its pool and its metrics.

- *Same shelf*: papers of the query's label, or of any of its categories. A collapse of the vectors
  into categories wins it.
- *Known item*: a title finds its abstract, the first half of an abstract the second. Such a
  collapse loses it.
- *Shared author*: papers that have an author in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Array, Doubles, Ints
from shelfmark.evaluation import retrieval
from shelfmark.evaluation.encoders.samples import Part, Sample, membership
from shelfmark.evaluation.retrieval import Ranking, Relevance, Vectors

# The earlier project's numbers, with which its figures compare: 996 queries over 4,000 papers.
QUERIES, POOL = 996, 4000
LARGEST_POOL = 50_000  # of known items
DEPTH = 10

Metric = Callable[[Ranking], Doubles]
PRECISION: dict[str, Metric] = {"p10": lambda ranking: retrieval.precision_at(ranking, DEPTH)}
NDCG: dict[str, Metric] = {"ndcg10": lambda ranking: retrieval.ndcg_at(ranking, DEPTH)}
SHELF: dict[str, Metric] = {
    **PRECISION,
    **NDCG,
    "mrr10": lambda ranking: retrieval.reciprocal_rank_at(ranking, DEPTH),
    "map": retrieval.average_precision,
}
AUTHOR: dict[str, Metric] = {
    **NDCG,
    "r10": lambda ranking: retrieval.recall_at(ranking, DEPTH),
}


@dataclass(frozen=True)
class Side:
    """The texts of one side of a task: a part of some papers of the sample."""

    part: Part
    rows: Ints


@dataclass(frozen=True)
class Task:
    """Queries, the pool they are searched in, and what is relevant to them.

    Args:
        name: the beginning of the keys of its figures.
        queries: texts to search with.
        pool: texts to find.
        names: of each paper of the sample; papers that share one are relevant to each other. None
            where a query has one relevant text, that of the same paper.
        metrics: by the end of their keys.
    """

    name: str
    queries: Side
    pool: Side
    names: sp.csr_matrix | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)

    def scores(self, queries: Vectors, pool: Vectors) -> Iterator[tuple[str, Doubles]]:
        """Yield the key of each figure, and the score of each query."""
        places = dict(zip(self.pool.rows.tolist(), range(len(self.pool.rows)), strict=True))
        own = np.array([places[row] for row in self.queries.rows.tolist()])
        if self.names is None:
            ranks = retrieval.rank_known_items(queries, pool, own)
            yield f"{self.name}_mrr", 1 / ranks
            for count in (1, DEPTH):
                yield f"{self.name}_r{count}", (ranks <= count).astype(np.float64)
            return
        deep = None if retrieval.average_precision in self.metrics.values() else DEPTH
        relevance = _sharing(self.names, self.queries.rows, self.pool.rows)
        ranking = retrieval.rank(queries, pool, relevance, own, deep)
        for key, metric in self.metrics.items():
            yield f"{self.name}_{key}", metric(ranking)


def _sharing(names: sp.csr_matrix, queries: Ints, pool: Ints) -> Relevance:
    """Return which papers of a pool share a name with each query."""
    of_queries, of_pool = names[queries], names[pool].T.tocsr()

    def relevance(rows: Ints) -> Array:
        shared: Array = (of_queries[rows] @ of_pool).toarray() > 0
        return shared

    return relevance


def list_tasks(sample: Sample, largest_pool: int = LARGEST_POOL) -> list[Task]:
    """Return the tasks that the papers of a sample allow.

    Args:
        sample: the papers of a split.
        largest_pool: of the papers that a title is searched among.
    """
    tasks = [*_shelf_tasks(sample), *_known_items(sample, largest_pool)]
    if sample.authors is not None:
        tasks += _author_tasks(sample)
    return tasks


def _shelf_tasks(sample: Sample) -> Iterator[Task]:
    labels = membership(sample.labels)
    labelled = np.diff(labels.indptr) > 0
    pool = sample.order[labelled[sample.order]][:POOL]
    queries = _with_partner(labels, pool)[:QUERIES]
    if not len(queries):
        return
    sides = Side("paper", queries), Side("paper", pool)
    yield Task("same_shelf", *sides, labels, SHELF)
    yield Task("shared_category", *sides, membership(sample.categories), PRECISION)


def _with_partner(names: sp.csr_matrix, pool: Ints) -> Ints:
    """Return the papers of a pool that share a name with another of it."""
    of_pool = names[pool]
    counts = np.asarray(of_pool.sum(axis=0)).ravel()
    found: Ints = pool[of_pool @ (counts > 1).astype(np.int32) > 0]
    return found


def _known_items(sample: Sample, largest_pool: int) -> Iterator[Task]:
    drawn = sample.with_halves
    small = drawn[: min(POOL, largest_pool)]
    if len(small) < 2:
        return
    large = drawn[:largest_pool]
    for pool in (small, large) if len(large) > len(small) else (small,):
        yield Task(f"title_{len(pool)}", Side("title", small), Side("abstract", pool))
    yield Task(f"half_{len(small)}", Side("first half", small), Side("second half", small))


def _author_tasks(sample: Sample) -> Iterator[Task]:
    """Yield the task of shared authors; for each query, a paper with a common author is drawn."""
    assert sample.authors is not None
    names = membership(sample.authors)
    queries = _with_partner(names, sample.order)[:QUERIES]
    if not len(queries):
        return
    place = np.empty_like(sample.order)
    place[sample.order] = np.arange(len(place))
    shared = names[queries] @ names.T
    partners = [
        min((row for row in _row(shared, number) if row != query), key=place.__getitem__)
        for number, query in enumerate(queries)
    ]
    drawn = np.concatenate([queries, partners, sample.order])
    pool = drawn[np.sort(np.unique(drawn, return_index=True)[1])][:POOL]
    yield Task("shared_author", Side("paper", queries), Side("paper", pool), names, AUTHOR)


def _row(matrix: sp.csr_matrix, number: int) -> list[int]:
    """Return the columns of a row that are not zero."""
    columns: Any = matrix.indices[matrix.indptr[number] : matrix.indptr[number + 1]]
    return [int(column) for column in columns]


def needed_rows(tasks: Sequence[Task]) -> dict[Part, Ints]:
    """Return, for each part, the papers whose texts the tasks need."""
    sides = [side for task in tasks for side in (task.queries, task.pool)]
    parts = dict.fromkeys(side.part for side in sides)
    return {
        part: np.unique(np.concatenate([side.rows for side in sides if side.part == part]))
        for part in parts
    }
