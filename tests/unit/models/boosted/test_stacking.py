"""Scores as features: a training paper's are from models not trained on it."""

from __future__ import annotations

import os
import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from shelfmark.models.boosted.fitting import engine
from shelfmark.models.boosted.low_rank import LowRankLinear
from shelfmark.models.boosted.scorers import Bayes, Scorer, Svm
from shelfmark.models.boosted.stacking import CrossFittedScores, folds_of

CLASSES = 3


def remembered_only(rows: int = 60) -> tuple[sp.csr_matrix, Any]:
    """Return rows that each have a column of their own, and classes drawn at random."""
    targets = np.random.default_rng(3).integers(0, CLASSES, rows)
    return sp.csr_matrix(sp.eye(rows, dtype=np.float32)), np.eye(CLASSES, dtype=np.uint8)[targets]


def task(targets: Any = None) -> tuple[sp.csr_matrix, Any]:
    """Return counts, and an indicator of the classes and of two listed categories."""
    rng = np.random.default_rng(0)
    targets = np.arange(80) % CLASSES if targets is None else targets
    features = rng.poisson(0.8, (len(targets), 10)).astype(np.float32)
    classes = np.eye(targets.max() + 1, dtype=np.uint8)[targets]
    return sp.csr_matrix(features), np.hstack([classes, features[:, :2] > 1]).astype(np.uint8)


def scorers() -> list[tuple[str, Scorer]]:
    small = LowRankLinear(size=4, epochs=2, batch=16)
    return [("low_rank", small), ("svm", Svm(C=0.5)), ("bayes", Bayes())]


def test_training_rows_get_no_score_from_a_model_that_saw_them() -> None:
    features, indicator = remembered_only()
    stack = CrossFittedScores([("svm", Svm(C=1.0)), ("bayes", Bayes())], CLASSES)
    crossed, remembered = stack.fit_transform(features, indicator), stack.transform(features)
    truth = indicator.argmax(axis=1)
    for block in (slice(CLASSES), slice(CLASSES, None)):
        known, fair = (scores[:, block].argmax(axis=1) for scores in (remembered, crossed))
        assert (known == truth).all(), "the whole model knows every row by heart"
        assert (fair == truth).mean() < 0.6, (
            "and the scores of training rows have no information about it"
        )


def test_the_scores_of_a_fold_are_those_of_a_model_of_the_other_folds() -> None:
    features, indicator = task()
    crossed = CrossFittedScores(scorers(), CLASSES, folds=4, random_state=1).fit_transform(
        features, indicator
    )
    fold = folds_of(indicator[:, :CLASSES].argmax(axis=1), 4, 1)
    for number in range(4):
        known, held = fold != number, fold == number
        alone = [one.fit(features[known], indicator[known], CLASSES) for _, one in scorers()]
        wanted = np.hstack([one.decision_function(features[held]) for one in alone])
        np.testing.assert_array_equal(crossed[held], wanted)


def test_other_rows_are_scored_by_models_of_all_training_rows() -> None:
    features, indicator = task()
    stack = CrossFittedScores(scorers(), CLASSES, folds=3)
    stack.fit_transform(features[:60], indicator[:60])
    alone = [one.fit(features[:60], indicator[:60], CLASSES) for _, one in scorers()]
    wanted = np.hstack([one.decision_function(features[60:]) for one in alone])
    np.testing.assert_array_equal(stack.transform(features[60:]), wanted)


def test_without_folds_training_rows_are_scored_as_any_other() -> None:
    features, indicator = task()
    stack = CrossFittedScores(scorers(), CLASSES, folds=None)
    np.testing.assert_array_equal(
        stack.fit_transform(features, indicator), stack.transform(features)
    )


def test_every_column_is_known_by_mean_and_deviation() -> None:
    features, indicator = task()
    stack = CrossFittedScores(scorers(), CLASSES, folds=3)
    made = stack.fit_transform(features, indicator)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(stack.means_, made.mean(axis=0))
    np.testing.assert_array_equal(stack.deviations_, made.std(axis=0))


@pytest.mark.parametrize("rare", [[0, 1, 2], [0]])
def test_a_class_of_one_paper_is_no_obstacle(rare: list[int]) -> None:
    targets = np.unique([*(np.arange(40) % 2 + 3), *rare], return_inverse=True)[1]
    features, indicator = task(targets)
    made = CrossFittedScores(scorers(), targets.max() + 1, folds=4).fit_transform(
        features, indicator
    )
    assert made.shape == (len(targets), 3 * (targets.max() + 1) + 4)
    assert np.isfinite(made).all()


def test_folds_deal_every_class_out_evenly() -> None:
    targets = np.repeat([0, 1, 2], [50, 7, 1])
    fold = folds_of(targets, 5, seed=0)
    counts = np.array([np.bincount(fold[targets == target], minlength=5) for target in range(3)])
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    assert (fold == folds_of(targets, 5, seed=0)).all()
    assert (fold != folds_of(targets, 5, seed=1)).any()


def test_it_clones_and_pickles_like_any_other() -> None:
    features, indicator = task()
    stack = CrossFittedScores(scorers(), CLASSES, folds=3, random_state=5)
    twin = clone(stack)
    assert (twin.classes, twin.folds, twin.random_state) == (CLASSES, 3, 5)
    assert [(name, one.get_params()) for name, one in twin.scorers] == [
        (name, one.get_params()) for name, one in stack.scorers
    ]
    first = stack.fit_transform(features, indicator)
    np.testing.assert_array_equal(twin.fit_transform(features, indicator), first)
    again = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(again.transform(features), stack.transform(features))


def test_several_processes_give_the_same_bits_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    features, indicator = task()
    alone, shared = (
        CrossFittedScores(scorers(), CLASSES, folds=3),
        CrossFittedScores(scorers(), CLASSES, folds=3),
    )
    wanted = alone.fit_transform(features, indicator)
    monkeypatch.setattr(engine, "WORTH_DISTRIBUTING", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert shared.fit_transform(features, indicator).tobytes() == wanted.tobytes()
    assert shared.transform(features).tobytes() == alone.transform(features).tobytes()
