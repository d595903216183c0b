"""Retrieval metrics: beside scikit-learn's, by hand, and where vectors are equal or zero."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import average_precision_score, ndcg_score

from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.evaluation import retrieval
from shelfmark.evaluation.retrieval import NO_PAPER, Ranking, Relevance


def unit_rows(rows: int, size: int = 16, seed: int = 0) -> Floats:
    drawn = np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def labelled(seed: int = 1, papers: int = 60) -> tuple[Floats, Array, Relevance]:
    labels = np.random.default_rng(seed).integers(0, 5, papers)
    return unit_rows(papers, seed=seed), labels, lambda rows: labels[rows][:, None] == labels


def by_hand(relevant: list[list[int]], totals: list[int]) -> Ranking:
    return Ranking(np.array(relevant, dtype=bool), np.array(totals))


HAND = by_hand([[0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]], [3, 2, 0])


def test_metrics_of_a_ranking_by_hand() -> None:
    log = np.log2
    assert retrieval.precision_at(HAND, 2).tolist() == [0.5, 1.0, 0.0]
    assert retrieval.recall_at(HAND, 4).tolist() == [2 / 3, 1.0, 0.0]
    assert retrieval.reciprocal_rank_at(HAND, 4).tolist() == [0.5, 1.0, 0.0]
    assert retrieval.reciprocal_rank_at(HAND, 1).tolist() == [0.0, 1.0, 0.0]
    assert retrieval.average_precision(HAND) == pytest.approx([(1 / 2 + 2 / 4) / 3, 1, 0])
    ideal = 1 + 1 / log(3) + 1 / log(4)
    gain = 1 / log(3) + 1 / log(5)
    assert retrieval.ndcg_at(HAND, 4) == pytest.approx([gain / ideal, 1, 0])


def test_a_pool_smaller_than_ten_counts_the_empty_ranks() -> None:
    assert retrieval.precision_at(HAND, 10).tolist() == [0.2, 0.2, 0.0]
    assert retrieval.ndcg_at(HAND, 10)[1] == 1


def test_ranking_and_metrics_agree_with_scikit_learn() -> None:
    vectors, labels, relevance = labelled()
    rows = np.arange(20)
    ranking = retrieval.rank(vectors[:20], vectors, relevance, rows)
    for row in rows:
        others = np.delete(np.arange(60), row)
        truth = labels[others] == labels[row]
        scores = vectors[others] @ vectors[row]
        assert ranking.totals[row] == truth.sum()
        assert retrieval.ndcg_at(ranking, 10)[row] == pytest.approx(
            ndcg_score([truth], [scores], k=10)
        )
        assert retrieval.average_precision(ranking)[row] == pytest.approx(
            average_precision_score(truth, scores)
        )
        first = truth[np.argsort(-scores)][:10]
        assert retrieval.precision_at(ranking, 10)[row] == pytest.approx(first.mean())


def test_a_shallow_ranking_is_the_head_of_the_deep_one() -> None:
    vectors, _, relevance = labelled()
    deep = retrieval.rank(vectors, vectors, relevance, np.arange(60))
    shallow = retrieval.rank(vectors, vectors, relevance, np.arange(60), depth=10)
    assert (shallow.relevant == deep.relevant[:, :10]).all()
    assert (shallow.totals == deep.totals).all()


def test_a_query_does_not_find_itself() -> None:
    vectors = unit_rows(6)
    identity: Relevance = lambda rows: rows[:, None] == np.arange(6)  # noqa: E731
    alone = retrieval.rank(vectors, vectors, identity, np.arange(6))
    assert not alone.relevant.any()
    assert alone.totals.tolist() == [0] * 6
    own = np.array([NO_PAPER, 1, 2, 3, 4, 5])
    one_allowed = retrieval.rank(vectors, vectors, identity, own)
    assert one_allowed.relevant.sum() == 1
    assert one_allowed.relevant[0, 0]


@pytest.mark.parametrize("vectors", [np.ones((9, 4)) / 2, np.zeros((9, 4))], ids=["same", "zero"])
@pytest.mark.parametrize("backwards", [False, True])
def test_equal_vectors_gain_nothing_from_the_order_of_papers(
    vectors: Floats, backwards: bool
) -> None:
    labels = np.repeat([0, 1, 2], 3)[:: -1 if backwards else 1]
    vectors = vectors.astype(np.float32)
    relevance: Relevance = lambda rows: labels[rows][:, None] == labels  # noqa: E731
    ranking = retrieval.rank(vectors, vectors, relevance, np.arange(9))
    assert not ranking.relevant[:, :6].any()
    assert ranking.relevant[:, 6:8].all()
    assert not ranking.relevant[:, 8].any()
    assert (retrieval.rank_known_items(vectors, vectors, np.arange(9)) == 9).all()


def test_a_collapse_to_almost_one_vector_wins_nothing_by_rounding() -> None:
    centre = unit_rows(1, 64)
    noise = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32) * 1e-9
    collapsed = centre + noise
    assert (retrieval.rank_known_items(collapsed, collapsed, np.arange(500)) == 500).all()


def ranks_one_by_one(queries: Array, pool: Array, targets: Ints) -> list[int]:
    return [
        1 + sum(float(query @ paper) > float(query @ pool[target]) for paper in pool)
        for query, target in zip(queries, targets, strict=True)
    ]


def test_ranks_of_known_items_are_those_counted_one_by_one() -> None:
    pool, queries = unit_rows(80), unit_rows(30, seed=3)
    targets = np.random.default_rng(0).integers(0, 80, 30)
    ranks = retrieval.rank_known_items(queries, pool, targets)
    assert ranks.tolist() == ranks_one_by_one(queries, pool, targets)
    assert len(set(ranks.tolist())) > 10


def test_sparse_vectors_have_the_ranks_of_the_same_dense_ones() -> None:
    vectors, _, relevance = labelled()
    vectors[np.abs(vectors) < 0.2] = 0
    sparse = sp.csr_matrix(vectors)
    rows = np.arange(60)
    assert (
        retrieval.rank(sparse, sparse, relevance, rows).relevant
        == retrieval.rank(vectors, vectors, relevance, rows).relevant
    ).all()
    targets = rows[::-1].copy()
    assert (
        retrieval.rank_known_items(sparse, sparse, targets)
        == retrieval.rank_known_items(vectors, vectors, targets)
    ).all()


def test_blocks_of_queries_change_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _, relevance = labelled()
    rows = np.arange(60)
    whole = retrieval.rank(vectors, vectors, relevance, rows)
    known = retrieval.rank_known_items(vectors[::-1], vectors, rows)
    asked: list[int] = []

    def relevance_of_block(block: Ints) -> Array:
        asked.append(len(block))
        return relevance(block)

    monkeypatch.setattr(retrieval, "BLOCK", 7 * 60)
    parts = retrieval.rank(vectors, vectors, relevance_of_block, rows)
    assert asked == [7] * 8 + [4]
    assert (parts.relevant == whole.relevant).all()
    assert (parts.totals == whole.totals).all()
    assert (retrieval.rank_known_items(vectors[::-1], vectors, rows) == known).all()
