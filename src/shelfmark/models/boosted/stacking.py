"""Scores of linear models as features, cross-fitted for the training papers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from shelfmark.core import checks
from shelfmark.core.arrays import Floats, Indicator, Ints
from shelfmark.core.checkpoint import Checkpoint, temporary_checkpoint
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.models.boosted.fitting.engine import LOCAL, Engine
from shelfmark.models.boosted.low_rank import LowRankLinear
from shelfmark.models.boosted.scorers import CLASS_COUNT, SEED, Bayes, Scorer, Svm

KINDS = (LowRankLinear, Svm, Bayes)


_SCORERS = checks.items(checks.pair(checks.string(), checks.instance(*KINDS)), most=len(KINDS))


class CrossFittedScores(Structured, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The scores of one or more scorers, side by side.

    As with scikit-learn's `TargetEncoder`, `fit_transform` is not `fit` and `transform`: each
    training row is scored by models that did not see it (cross-fitting), any other row by models of
    all training rows.

    Args:
        scorers: pairs of a name and an unfitted scorer.
        classes: how many of the indicator's columns are classes.
        folds: how many models of each scorer share the cross-fitting; None for no cross-fitting,
            if nothing is fitted on the scores of training rows.
        random_state: seed of the folds.
    """

    STATE: ClassVar[State] = {
        "scorers": _SCORERS,
        "classes": CLASS_COUNT,
        "folds": checks.optional(checks.integer(2)),
        "random_state": SEED,
        "fitted_": checks.items(checks.instance(*KINDS), most=len(KINDS)),
        "means_": checks.array(np.float32, 1),
        "deviations_": checks.array(np.float32, 1, least=0),
    }

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

    @property
    def shape(self) -> tuple[int, int]:
        """The number of terms and of scores, once it is fitted."""
        return self.fitted_[0].shape[0], sum(scorer.shape[1] for scorer in self.fitted_)

    def check_structure(self) -> None:
        """Check that the scorers read the same terms, and score every class.

        Raises:
            ValueError: they do not.
        """
        if not self.fitted_ or [*map(type, self.fitted_)] != [type(x) for _, x in self.scorers]:
            raise ValueError("fitted_ should be the scorers, fitted")
        terms, columns = self.shape
        for scorer in self.fitted_:
            if scorer.shape[0] != terms or scorer.shape[1] < self.classes:
                raise ValueError(f"should score {self.classes} classes by {terms} terms")
        checks.require_shape("means_", self.means_, (columns,))
        checks.require_shape("deviations_", self.deviations_, (columns,))

    def fit(self, features: sp.csr_matrix, indicator: Indicator) -> Self:
        """Fit on all rows; the indicator is one of `Targets`."""
        with temporary_checkpoint() as checkpoint:
            self._fit_whole(features, indicator, checkpoint, LOCAL)
        return self

    def fit_transform(
        self,
        features: sp.csr_matrix,
        indicator: Indicator,
        checkpoint: Checkpoint | None = None,
        engine: Engine = LOCAL,
    ) -> Floats:
        """Fit, and return the scores of each row by models that did not see it.

        With `checkpoint`, finished models are saved there, and the next run resumes from them.
        """
        if checkpoint is None:
            with temporary_checkpoint() as checkpoint:
                return self.fit_transform(features, indicator, checkpoint, engine)
        scores = self._score_training(features, indicator, checkpoint, engine)
        self.means_, self.deviations_ = scores.mean(axis=0), scores.std(axis=0)
        return scores

    def _score_training(
        self,
        features: sp.csr_matrix,
        indicator: Indicator,
        checkpoint: Checkpoint,
        engine: Engine,
    ) -> Floats:
        if self.folds is None:
            self._fit_whole(features, indicator, checkpoint, engine)
            return self.transform(features)
        fold = self._folds(indicator)
        blocks: list[list[Floats]] = [[] for _ in self.scorers]
        for place, held in self._fit_all(features, indicator, self.folds, checkpoint, engine):
            blocks[place].append(held)
        rows = np.argsort(np.concatenate([np.flatnonzero(fold == i) for i in range(self.folds)]))
        return np.hstack([np.vstack(parts)[rows] for parts in blocks])

    def transform(self, features: sp.csr_matrix) -> Floats:
        """Return the scores of papers that were not trained on, shape (papers, columns)."""
        check_is_fitted(self)
        return np.hstack([scorer.decision_function(features) for scorer in self.fitted_])

    def _folds(self, indicator: Indicator) -> Ints:
        targets = indicator[:, : self.classes].argmax(axis=1)
        return folds_of(targets, self.folds or 1, self.random_state)

    def _fit_whole(
        self,
        features: sp.csr_matrix,
        indicator: Indicator,
        checkpoint: Checkpoint,
        engine: Engine,
    ) -> None:
        for _ in self._fit_all(features, indicator, 0, checkpoint, engine):
            pass

    def _fit_all(
        self,
        features: sp.csr_matrix,
        indicator: Indicator,
        folds: int,
        checkpoint: Checkpoint,
        engine: Engine,
    ) -> Iterator[tuple[int, Floats]]:
        """Fit every scorer on all rows and on all but each fold; yield the scores of the folds."""
        fold = self._folds(indicator)
        tasks = {
            f"{name}-{'whole' if number < 0 else number}": _Task(place, scorer, number)
            for place, (name, scorer) in enumerate(self.scorers)
            for number in range(-1, folds)
        }
        missing = [item for item in tasks.items() if item[0] not in checkpoint]
        if missing and engine.worth_distributing(features.nnz * indicator.shape[1]):
            work = partial(_fit, self.classes)
            engine.map_to_checkpoint(
                work, missing, checkpoint, features, indicator=indicator, fold=fold
            )
        self.fitted_ = []
        for name, task in tasks.items():
            work = partial(task.fit, features, indicator, self.classes, fold)
            result = checkpoint.compute_once(name, work)
            if task.number < 0:
                self.fitted_.append(result)
            else:
                yield task.place, result


@dataclass(frozen=True)
class _Task:
    """A scorer to be fitted on all rows, for itself, or on all but a fold, for that fold's scores.

    Args:
        place: of the scorer among all.
        scorer: unfitted.
        number: of the fold, negative for all rows.
    """

    place: int
    scorer: Scorer
    number: int

    def fit(self, features: sp.csr_matrix, indicator: Indicator, classes: int, fold: Ints) -> Any:
        """Return the fitted scorer, or the scores of the fold."""
        scorer: Scorer = clone(self.scorer)
        if self.number < 0:
            return scorer.fit(features, indicator, classes)
        known, held = fold != self.number, fold == self.number
        scorer.fit(features[known], indicator[known], classes)
        return scorer.decision_function(features[held])


def _fit(
    classes: int, task: _Task, features: sp.csr_matrix, indicator: Indicator, fold: Ints
) -> Any:
    return task.fit(features, indicator, classes, fold)


def folds_of(targets: Ints, folds: int, seed: int) -> Ints:
    """Return the fold of each row, stratified: each class is spread evenly over the folds."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(targets), np.int64)
    for target in np.unique(targets):
        rows = rng.permutation(np.flatnonzero(targets == target))
        fold[rows] = np.arange(len(rows)) % folds
    return fold
