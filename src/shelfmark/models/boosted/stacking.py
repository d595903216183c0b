"""Scores of linear models as features, cross-fitted for the training papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from shelfmark.core import checks
from shelfmark.core.arrays import Array, Floats, Indicator, Ints, SmallInts, SparseRows
from shelfmark.core.checkpoint import Checkpoint, temporary_checkpoint
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.models.boosted.fitting.engine import LOCAL, Engine, FitTask
from shelfmark.models.boosted.fitting.rows import (
    Mask,
    MatrixRows,
    PaperLabels,
    TrainingRows,
)
from shelfmark.models.boosted.low_rank import LowRankLinear
from shelfmark.models.boosted.scorers import CLASS_COUNT, SEED, Bayes, Scorer, Stage, Svm

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
        folds: smallest number of folds of the cross-fitting; None for no cross-fitting, if nothing
            is fitted on the scores of training rows.
        papers: about how many training papers are scored, and how many a fold has at most; None
            for all papers and exactly so many folds. A model of each scorer is fitted for each fold
            that is scored: one, where there are plenty of papers.
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
        papers: int | None = None,
    ) -> None:
        self.scorers = scorers
        self.classes = classes
        self.folds = folds
        self.random_state = random_state
        self.papers = papers

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

    def structure_state(self) -> dict[str, Any]:
        """Return the state that is saved: without the number of papers, which only a fit reads."""
        own = vars(self)
        return {name: own[name] for name in self.STATE if name in own}

    def fit(self, features: sp.csr_matrix, indicator: Indicator) -> Self:
        """Fit on all rows; the indicator is one of `Targets`."""
        self.fit_transform(features, indicator)
        return self

    def fit_transform(self, features: sp.csr_matrix, indicator: Indicator) -> Floats:
        """Fit, and return the scores of each row by models that did not see it.

        Where not all folds are scored, the rows are those of the folds that are.
        """
        rows = MatrixRows(features, PaperLabels.of_indicator(indicator, self.classes))
        with temporary_checkpoint() as checkpoint:
            return self.fit_rows(rows, checkpoint).scores

    def fit_rows(
        self, rows: TrainingRows, checkpoint: Checkpoint, engine: Engine = LOCAL
    ) -> PaperScores:
        """Fit, and return the scores of the scored papers by models that did not see them.

        Finished models are saved in the checkpoint, and the next run resumes from them.
        """
        scored = self._score_training(rows, checkpoint, engine)
        self.means_, self.deviations_ = scored.scores.mean(axis=0), scored.scores.std(axis=0)
        return scored

    def transform(self, features: sp.csr_matrix) -> Floats:
        """Return the scores of papers that were not trained on, shape (papers, columns)."""
        check_is_fitted(self)
        return np.hstack([scorer.decision_function(features) for scorer in self.fitted_])

    def transform_rows(self, features: SparseRows) -> Floats:
        """Return the same from rows without a matrix, to the last bit."""
        return np.concatenate([scorer.score_rows(features) for scorer in self.fitted_], axis=1)

    def _score_training(
        self, rows: TrainingRows, checkpoint: Checkpoint, engine: Engine
    ) -> PaperScores:
        if self.folds is None:
            list(self._fit_all(rows, np.zeros(rows.shape[0], np.int32), 0, checkpoint, engine))
            return _score_papers(self.transform, rows, None)
        folds, scored = self.count_folds(rows.shape[0])
        fold = folds_of(rows.labels.targets, folds, self.random_state)
        blocks: list[list[Floats]] = [[] for _ in self.scorers]
        for place, held in self._fit_all(rows, fold, scored, checkpoint, engine):
            blocks[place].append(held)
        papers = np.concatenate([np.flatnonzero(fold == number) for number in range(scored)])
        order = np.argsort(papers)
        scores = np.hstack([np.vstack(parts)[order] for parts in blocks])
        return PaperScores(papers[order], scores)

    def count_folds(self, papers: int) -> tuple[int, int]:
        """Return the number of folds, and how many of them are scored; 0 without folds."""
        if self.folds is None:
            return 0, 0
        if self.papers is None:
            return self.folds, self.folds
        folds = max(self.folds, -(-papers // self.papers))
        return folds, min(max(round(self.papers * folds / papers), 1), folds)

    def _fit_all(
        self,
        rows: TrainingRows,
        fold: SmallInts,
        scored: int,
        checkpoint: Checkpoint,
        engine: Engine,
    ) -> Iterator[tuple[int, Floats]]:
        """Fit every scorer on all rows and on all but each scored fold; yield the folds' scores."""
        tasks = {
            f"{name}-{'whole' if number < 0 else number}": _Task(place, scorer, number, fold)
            for place, (name, scorer) in enumerate(self.scorers)
            for number in range(-1, scored)
        }
        missing = [item for item in tasks.items() if item[0] not in checkpoint]
        if missing and engine.worth_distributing(rows.stored * rows.labels.columns):
            engine.fit_to_checkpoint(missing, checkpoint, rows)
        self.fitted_ = []
        for name, task in tasks.items():
            work = partial(task.fit, rows, checkpoint.nest_stage(name))
            result = checkpoint.compute_once(name, work)
            if task.number < 0:
                self.fitted_.append(result)
            else:
                yield task.place, result


@dataclass(frozen=True)
class PaperScores:
    """The scores of some training papers.

    Args:
        papers: their numbers, rising.
        scores: shape (papers, columns).
    """

    papers: Ints
    scores: Floats


@dataclass(frozen=True)
class _Task:
    """A scorer to be fitted on all rows, for itself, or on all but a fold, for that fold's scores.

    Args:
        place: of the scorer among all.
        scorer: unfitted.
        number: of the fold, negative for all rows.
        fold: the fold of each paper.
    """

    place: int
    scorer: Scorer
    number: int
    fold: SmallInts

    @property
    def chosen(self) -> Mask | None:
        """Which papers the scorer is fitted on, shape (papers,); None for all."""
        return None if self.number < 0 else self.fold != self.number

    def stages(self) -> dict[str, FitTask]:
        """Return the long parts of the fit by name."""
        parts = self.scorer.stages(self.chosen)
        return {name: _Part(self.scorer, part) for name, part in parts.items()}

    def memory(self, rows: TrainingRows) -> int:
        """Return about how many bytes the fit takes, with the scores of the fold."""
        scored = 0 if self.number < 0 else int((self.fold == self.number).sum())
        return self.scorer.memory(rows) + 2 * 4 * scored * rows.labels.columns

    def fit(self, rows: TrainingRows, states: Checkpoint | None = None) -> Any:
        """Return the fitted scorer, or the scores of the fold, in the order of its papers."""
        scorer: Scorer = clone(self.scorer)
        scorer.fit_rows(rows, self.chosen, states)
        if self.number < 0:
            return scorer
        return _score_papers(scorer.decision_function, rows, self.fold == self.number).scores


@dataclass(frozen=True)
class _Part:
    """A long part of the fit of a scorer."""

    scorer: Scorer
    work: Stage

    def stages(self) -> dict[str, FitTask]:
        """Return nothing: a part has no parts."""
        return {}

    def memory(self, rows: TrainingRows) -> int:
        """Return about how many bytes the part takes: at most those of the whole fit."""
        return self.scorer.memory(rows)

    def fit(self, rows: TrainingRows, states: Checkpoint | None = None) -> Any:
        """Return the result of the part."""
        return self.work(rows, states)


def _score_papers(
    score: Callable[[sp.csr_matrix], Floats], rows: TrainingRows, chosen: Mask | None
) -> PaperScores:
    """Return the scores of the chosen papers, all if None, block by block."""
    papers, scores = [], []
    for block in rows.blocks():
        block = block.select(chosen)
        papers.append(block.papers)
        scores.append(score(block.features))
    order = np.argsort(np.concatenate(papers))
    return PaperScores(np.concatenate(papers)[order], np.vstack(scores)[order])


def folds_of(targets: Array, folds: int, seed: int) -> SmallInts:
    """Return the fold of each row, stratified: each class is spread evenly over the folds."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(targets), np.int32)
    for target in np.unique(targets):
        rows = rng.permutation(np.flatnonzero(targets == target))
        fold[rows] = np.arange(len(rows)) % folds
    return fold
