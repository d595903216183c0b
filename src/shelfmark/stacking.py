"""Scores of a linear model as features, never those of a paper it was trained on."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted

Scores = np.ndarray[Any, np.dtype[np.float32]]


class LinearScores(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns features into the margins of a linear SVM, one column a class.

    As with scikit-learn's `TargetEncoder`, `fit_transform` is not `fit` and `transform`: on the
    training papers each row's margins come from a model that did not see the row (cross-fitting);
    `transform` uses one model of all of them.

    Args:
        C: inverse strength of the SVM's regularisation.
        folds: how many models share the cross-fitting.
        random_state: seed of the folds and of the solver.
    """

    def __init__(self, C: float = 0.3, folds: int = 5, random_state: int = 0) -> None:  # noqa: N803
        self.C = C
        self.folds = folds
        self.random_state = random_state

    def fit(self, features: sp.csr_matrix, targets: np.ndarray[Any, Any]) -> LinearScores:
        """Fit one model on all rows; targets are 0 … classes - 1."""
        self.classes_ = np.unique(targets)
        self.linear_ = self._fitted(features, targets)
        return self

    def fit_transform(self, features: sp.csr_matrix, targets: np.ndarray[Any, Any]) -> Scores:
        """Fit, and return the margins of each row by a model that did not see it."""
        self.fit(features, targets)
        fold = folds_of(targets, self.folds, self.random_state)
        scores = np.zeros((features.shape[0], self._width()), np.float32)

        def score(number: int) -> None:
            held, known = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            scores[held] = self._margins(
                self._fitted(features[known], targets[known]), features[held]
            )

        # The solver works without the interpreter lock.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(score, range(self.folds)))
        return scores

    def transform(self, features: sp.csr_matrix) -> Scores:
        """Return the margins of papers that were not trained on, shape (papers, columns)."""
        check_is_fitted(self)
        return self._margins(self.linear_, features)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray[Any, Any]:
        """Name the columns by their place."""
        return np.array([f"linear margin {number}" for number in range(self._width())], object)

    def _fitted(self, features: sp.csr_matrix, targets: np.ndarray[Any, Any]) -> LinearSVC:
        return LinearSVC(C=self.C, random_state=self.random_state).fit(features, targets)

    def _width(self) -> int:
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _margins(self, linear: LinearSVC, features: sp.csr_matrix) -> Scores:
        given = linear.decision_function(features).astype(np.float32).reshape(features.shape[0], -1)
        if given.shape[1] == self._width() and len(linear.classes_) == len(self.classes_):
            return np.asarray(given, np.float32)
        # A class so rare that this fold's training rows lack it: nothing speaks for it there.
        whole = np.full((features.shape[0], self._width()), -1, np.float32)
        whole[:, np.searchsorted(self.classes_, linear.classes_)[-given.shape[1] :]] = given
        return whole


def folds_of(targets: np.ndarray[Any, Any], folds: int, seed: int) -> np.ndarray[Any, Any]:
    """Return the fold of each row, every class dealt out evenly, whatever its size."""
    chance = np.random.default_rng(seed)
    fold = np.empty(len(targets), np.int64)
    for target in np.unique(targets):
        rows = chance.permutation(np.flatnonzero(targets == target))
        fold[rows] = np.arange(len(rows)) % folds
    return fold
