"""Scores as features, those of a training paper never from a model that was trained on it."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from shelfmark.checkpoint import Stages, Unkept
from shelfmark.scorers import Scorer, Scores
from shelfmark.targets import Indicator, Numbers

WORTH_SHARING = 1 << 26  # stored features x columns that repay the start of other processes


class OutOfFold(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns features into the scores of one or more scorers, side by side.

    As with scikit-learn's `TargetEncoder`, `fit_transform` is not `fit` and `transform`: each
    training row is scored by models that did not see it (cross-fitting), any other row by models of
    all training rows.

    Args:
        scorers: their names and themselves, unfitted.
        classes: how many of the indicator's columns are classes.
        folds: how many models of each scorer share the cross-fitting; None for no cross-fitting,
            where nothing is learnt from the scores of training rows.
        random_state: seed of the folds.
    """

    def __init__(
        self,
        scorers: list[tuple[str, Scorer]],
        classes: int,
        folds: int | None = 5,
        random_state: int = 0,
    ) -> None:
        self.scorers = scorers
        self.classes = classes
        self.folds = folds
        self.random_state = random_state

    def fit(self, features: sp.csr_matrix, indicator: Indicator) -> Self:
        """Fit on all rows; the indicator is one of `Targets`."""
        for _ in self._fit_all(features, indicator, 0, Unkept()):
            pass
        return self

    def fit_transform(
        self, features: sp.csr_matrix, indicator: Indicator, stages: Stages | None = None
    ) -> Scores:
        """Fit, and return the scores of each row by models that did not see it.

        With `stages`, what is finished is kept there, and found there by the next run.
        """
        scores = self._score_training(features, indicator, stages or Unkept())
        self.means_, self.deviations_ = scores.mean(axis=0), scores.std(axis=0)
        return scores

    def _score_training(
        self, features: sp.csr_matrix, indicator: Indicator, stages: Stages
    ) -> Scores:
        if self.folds is None:
            return self.fit(features, indicator).transform(features)
        fold = self._folds(indicator)
        blocks: list[list[Scores]] = [[] for _ in self.scorers]
        for place, held in self._fit_all(features, indicator, self.folds, stages):
            blocks[place].append(held)
        rows = np.argsort(np.concatenate([np.flatnonzero(fold == i) for i in range(self.folds)]))
        return np.hstack([np.vstack(parts)[rows] for parts in blocks])

    def transform(self, features: sp.csr_matrix) -> Scores:
        """Return the scores of papers that were not trained on, shape (papers, columns)."""
        check_is_fitted(self)
        return np.hstack([scorer.decision_function(features) for scorer in self.fitted_])

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray[Any, Any]:
        """Name the columns by scorer and place."""
        names = [
            f"{name} {column}"
            for (name, _), scorer in zip(self.scorers, self.fitted_, strict=True)
            for column in range(len(scorer.intercept_))
        ]
        return np.array(names, object)

    def _folds(self, indicator: Indicator) -> Numbers:
        targets = indicator[:, : self.classes].argmax(axis=1)
        return folds_of(targets, self.folds or 1, self.random_state)

    def _fit_all(
        self, features: sp.csr_matrix, indicator: Indicator, folds: int, stages: Stages
    ) -> Any:
        """Fit every scorer on all rows and on all but each fold; yield the scores of the folds."""
        fold = self._folds(indicator)
        tasks = [
            (place, number) for place in range(len(self.scorers)) for number in range(-1, folds)
        ]
        names = [f"{self.scorers[place][0]}-{number}" for place, number in tasks]
        jobs = os.cpu_count() if features.nnz * indicator.shape[1] > WORTH_SHARING else 1
        # Processes, as the solver's random numbers are one state that threads would share.
        run = Parallel(n_jobs=jobs, return_as="generator", max_nbytes="1M")
        missing = [task for task, name in zip(tasks, names, strict=True) if name not in stages]
        found = run(
            delayed(_fit_one)(
                clone(self.scorers[place][1]), features, indicator, self.classes, fold, number
            )
            for place, number in missing
        )
        self.fitted_ = []
        for (place, number), name in zip(tasks, names, strict=True):
            result = stages.once(name, lambda: next(found))
            if number < 0:
                self.fitted_.append(result)
            else:
                yield place, result


def _fit_one(
    scorer: Scorer,
    features: sp.csr_matrix,
    indicator: Indicator,
    classes: int,
    fold: Numbers,
    number: int,
) -> Any:
    """Return the scorer fitted on all rows, or the scores of a fold by one of the other rows."""
    if number < 0:
        return scorer.fit(features, indicator, classes)
    known, held = fold != number, fold == number
    return scorer.fit(features[known], indicator[known], classes).decision_function(features[held])


def folds_of(targets: Numbers, folds: int, seed: int) -> Numbers:
    """Return the fold of each row, every class dealt out evenly, whatever its size."""
    chance = np.random.default_rng(seed)
    fold = np.empty(len(targets), np.int64)
    for target in np.unique(targets):
        rows = chance.permutation(np.flatnonzero(targets == target))
        fold[rows] = np.arange(len(rows)) % folds
    return fold
