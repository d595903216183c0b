"""The figures, against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss, precision_recall_fscore_support, top_k_accuracy_score

from shelfmark.evaluation import metrics
from shelfmark.evaluation.records import ClassScores, ConfusedPair

CLASSES = ["a", "b", "c"]
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6]], np.float32
)
TARGETS = np.array([0, 1, 1, 0])


def test_figures_of_a_small_case() -> None:
    figures = metrics.score_probabilities(TARGETS, PROBABILITIES, CLASSES)
    assert figures.papers == 4
    assert figures.accuracy == 0.5
    assert figures.top3 == figures.top5 == 1.0
    assert figures.per_class["a"] == ClassScores(precision=0.5, recall=0.5, f1=0.5, papers=2)
    assert figures.per_class["c"].f1 == 0.0
    assert figures.macro_f1 == pytest.approx((0.5 + 2 / 3 + 0) / 3)
    assert figures.weighted_f1 == pytest.approx((0.5 + 2 / 3) / 2)
    expected = -sum(map(math.log, (0.7, 0.6, 0.4, 0.2))) / 4
    assert figures.log_loss == pytest.approx(expected, abs=1e-6)
    assert figures.confusion == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]


def test_top_k_counts_the_k_most_probable() -> None:
    targets = np.array([1, 2, 1, 0])
    assert metrics.top_k_accuracy(targets, PROBABILITIES, 1) == 0.0
    assert metrics.top_k_accuracy(targets, PROBABILITIES, 2) == 1.0
    assert metrics.top_k_accuracy(np.array([2, 0, 2, 2]), PROBABILITIES, 2) == 0.25


def test_a_label_the_model_does_not_know_counts_as_an_error() -> None:
    known = metrics.score_probabilities(np.array([0, 1]), PROBABILITIES[:2], CLASSES)
    mixed = metrics.score_probabilities(np.array([0, -1]), PROBABILITIES[:2], CLASSES)
    assert known.accuracy == 1.0
    assert mixed.accuracy == mixed.top3 == 0.5
    assert mixed.log_loss > known.log_loss + 5
    assert np.array(mixed.confusion).sum() == 1
    assert mixed.per_class["b"] == ClassScores(precision=0, recall=0, f1=0, papers=0)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    sure = np.array([[0.9, 0.1]] * 10, np.float32)
    bins = metrics.reliability_bins(np.array([0] * 6 + [1] * 4), sure)
    assert len(bins) == 1
    assert metrics.calibration_error(bins) == pytest.approx(0.3, abs=1e-6)


def test_honest_probabilities_have_a_small_calibration_error() -> None:
    chance = np.random.default_rng(0)
    first = chance.uniform(size=20_000)
    probabilities = np.stack([first, 1 - first], axis=1).astype(np.float32)
    targets = (chance.uniform(size=20_000) > first).astype(int)
    assert metrics.calibration_error(metrics.reliability_bins(targets, probabilities)) < 0.015


def test_bins_hold_every_paper_once_even_at_certainty() -> None:
    certain = np.array([[1.0, 0.0], [0.5, 0.5], [0.51, 0.49]], np.float32)
    bins = metrics.reliability_bins(np.array([0, 1, 0]), certain)
    assert sum(row.share for row in bins) == pytest.approx(1.0)


@pytest.mark.parametrize("labels", [3, 40])
def test_figures_of_each_label_are_those_of_scikit_learn(labels: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, labels, 500)
    predicted = np.where(rng.random(500) < 0.6, truth, rng.integers(0, labels + 1, 500))
    scores = metrics.label_metrics(truth, predicted, labels)
    _, recall, f1, papers = precision_recall_fscore_support(
        truth, predicted, labels=range(labels), zero_division=0
    )
    np.testing.assert_allclose(scores["recall"], recall)
    np.testing.assert_allclose(scores["f1"], f1)
    assert scores["papers"].tolist() == papers.tolist()


def test_top_k_and_log_loss_are_those_of_scikit_learn_where_all_labels_are_known() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.full(9, 0.5), 400).astype(np.float32)
    targets = np.random.default_rng(1).integers(0, 9, 400)
    top = top_k_accuracy_score(targets, probabilities, k=3, labels=range(9))
    assert metrics.top_k_accuracy(targets, probabilities, 3) == top
    theirs = log_loss(targets, probabilities, labels=range(9))
    assert metrics.log_loss(targets, probabilities) == pytest.approx(theirs, rel=1e-6)


def test_answers_without_probabilities() -> None:
    assert dict(metrics.score_labels(["a", "b"], ["a", "a"])) == {
        "accuracy": 0.5,
        "macro_f1": pytest.approx(1 / 3),
        "weighted_f1": pytest.approx(1 / 3),
    }


def test_the_pairs_hardest_to_tell_apart_come_first() -> None:
    matrix = np.array([[5, 4, 1], [2, 8, 0], [0, 0, 0]])
    assert metrics.most_confused(matrix, CLASSES) == [
        ConfusedPair(one="a", other="b", one_for_other=4, other_for_one=2, share=6 / 20)
    ]  # c has no paper, so nothing is known of it
    assert metrics.most_confused(np.diag([3, 2, 1]), CLASSES) == []


def test_the_standard_error_is_that_of_a_share() -> None:
    figures = metrics.score_probabilities(TARGETS, PROBABILITIES, CLASSES)
    assert figures.standard_error == 0.25
