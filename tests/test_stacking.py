"""The linear margins: never those of a paper that the linear model was trained on."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.svm import LinearSVC

from shelfmark.stacking import LinearScores, folds_of


def separable_only_by_memory(rows: int = 60) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return rows that each have a column of their own, and labels drawn by chance."""
    targets = np.random.default_rng(3).integers(0, 3, rows)
    return sp.csr_matrix(sp.eye(rows, dtype=np.float32)), targets


def test_training_rows_get_no_margin_from_a_model_that_saw_them() -> None:
    features, targets = separable_only_by_memory()
    scores = LinearScores()
    crossed = scores.fit_transform(features, targets).argmax(axis=1)
    remembered = scores.transform(features).argmax(axis=1)
    assert (remembered == targets).all(), "the whole model knows every row by heart"
    assert (crossed == targets).mean() < 0.6, "and the margins of training rows tell nothing of it"


def test_each_margin_is_that_of_the_model_of_the_other_folds() -> None:
    chance = np.random.default_rng(0)
    features = sp.csr_matrix(chance.normal(size=(80, 6)).astype(np.float32))
    targets = (np.asarray(features[:, :3].todense())).argmax(axis=1)
    scores = LinearScores(C=0.5, folds=4, random_state=1)
    crossed = scores.fit_transform(features, targets)
    fold = folds_of(targets, 4, 1)
    known, held = fold != 2, fold == 2
    linear = LinearSVC(C=0.5, random_state=1).fit(features[known], targets[known])
    np.testing.assert_allclose(crossed[held], linear.decision_function(features[held]), rtol=1e-5)


@pytest.mark.parametrize(("classes", "width"), [(2, 1), (3, 3), (5, 5)])
def test_one_column_a_class(classes: int, width: int) -> None:
    features = sp.csr_matrix(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    scores = LinearScores(folds=3)
    made = scores.fit_transform(features, np.arange(50) % classes)
    assert made.shape == (50, width)
    assert made.dtype == np.float32
    assert len(scores.get_feature_names_out()) == width


@pytest.mark.parametrize("rare", [[0, 1, 2], [0]])
def test_a_class_of_one_paper_is_no_obstacle(rare: list[int]) -> None:
    targets = np.concatenate([np.arange(40) % 2 + 3, rare])
    targets = np.unique(targets, return_inverse=True)[1]
    features = sp.csr_matrix(np.random.default_rng(0).normal(size=(len(targets), 4)))
    made = LinearScores(folds=4).fit_transform(features, targets)
    assert made.shape == (len(targets), targets.max() + 1)
    assert np.isfinite(made).all()


def test_folds_deal_every_class_out_evenly() -> None:
    targets = np.repeat([0, 1, 2], [50, 7, 1])
    fold = folds_of(targets, 5, seed=0)
    counts = np.array([np.bincount(fold[targets == target], minlength=5) for target in range(3)])
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    assert (fold == folds_of(targets, 5, seed=0)).all()
    assert (fold != folds_of(targets, 5, seed=1)).any()


def test_it_clones_and_pickles_like_any_other() -> None:
    features, targets = separable_only_by_memory()
    scores = LinearScores(C=0.7, folds=3)
    assert clone(scores).get_params() == scores.get_params()
    scores.fit(features, targets)
    twin = pickle.loads(pickle.dumps(scores))
    np.testing.assert_array_equal(twin.transform(features), scores.transform(features))
