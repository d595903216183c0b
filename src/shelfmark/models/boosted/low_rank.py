"""A linear model of low rank, for hundreds of labels, which share one projection of the terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from shelfmark.config.schema import MOST_RANK
from shelfmark.core import checks
from shelfmark.core.arrays import Floats, Indicator
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.models.boosted.fitting.rows import (
    Mask,
    MatrixRows,
    PaperLabels,
    TrainingRows,
    block_bytes,
)
from shelfmark.models.boosted.scorers import MOST_SCORES, SEED

MEMORY = (0.9, 0.999)  # of Adam's two moments
TINY = 1e-8
STATE = "low_rank-epochs"


class LowRankLinear(Structured, BaseEstimator):  # type: ignore[misc]
    """Scores = features x `terms_` x `labels_` + `intercept_`, fitted by stochastic gradients.

    The classes learn by their softmax's log loss, the listed categories each by a logistic loss;
    what a category's cross-lists teach of a term serves every label. A term's step follows the mean
    square of its row's gradients (AdaGrad with one number a row), so that only the rows of a
    batch's terms are touched: a third of the time of Adam, and more accurate here.

    Source: fastText (arXiv:1607.01759); Duchi et al. 2011, JMLR 12.

    Args:
        size: the rank, numbers per term.
        epochs: passes over the papers.
        learning_rate: first step of the terms, falling linearly to 0.
        label_rate: first step of the labels (Adam), falling alike.
        batch: papers a step.
        dropout: share of a paper's terms left out in a step.
        listed_weight: of a listed category's loss beside the classes'.
        random_state: seed of the start, the order and the dropout.
    """

    STATE: ClassVar[State] = {
        "size": checks.integer(1, MOST_RANK),
        "epochs": checks.integer(1),
        "learning_rate": checks.number(0),
        "label_rate": checks.number(0),
        "batch": checks.integer(1),
        "dropout": checks.number(0, 1),
        "listed_weight": checks.number(0),
        "random_state": SEED,
        "terms_": checks.array(np.float32, 2),
        "labels_": checks.array(np.float32, 2),
        "intercept_": checks.array(np.float32, 1),
    }

    def __init__(
        self,
        size: int = 128,
        epochs: int = 3,
        learning_rate: float = 0.05,
        label_rate: float = 0.002,
        batch: int = 256,
        dropout: float = 0.1,
        listed_weight: float = 0.3,
        random_state: int = 0,
    ) -> None:
        self.size = size
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.label_rate = label_rate
        self.batch = batch
        self.dropout = dropout
        self.listed_weight = listed_weight
        self.random_state = random_state

    @property
    def shape(self) -> tuple[int, int]:
        """The number of terms and of columns."""
        return len(self.terms_), len(self.intercept_)

    def check_structure(self) -> None:
        """Check that the arrays have the same rank and the same columns.

        Raises:
            ValueError: they do not.
        """
        if "terms_" in vars(self):
            terms, columns = self.shape
            checks.require_range("columns", [columns], 1, MOST_SCORES)
            checks.require_shape("terms_", self.terms_, (terms, self.size))
            checks.require_shape("labels_", self.labels_, (self.size, columns))

    def fit(self, features: sp.csr_matrix, indicator: Indicator, classes: int) -> Self:
        """Fit on features of shape (papers, terms); the indicator's first columns are classes."""
        return self.fit_rows(MatrixRows(features, PaperLabels.of_indicator(indicator, classes)))

    def memory(self, rows: TrainingRows) -> int:
        """Return about how many bytes a fit takes: the table, its saved state, and a block."""
        return 2 * 4 * rows.shape[1] * (self.size + 1) + block_bytes(rows)

    def fit_rows(
        self, rows: TrainingRows, chosen: Mask | None = None, states: Checkpoint | None = None
    ) -> Self:
        """Fit on the chosen papers of some rows, all if None.

        With `states`, the state is saved there after each epoch, and the next run resumes from it.
        """
        papers = rows.shape[0] if chosen is None else int(chosen.sum())
        trainer = LowRankTrainer(self, rows.shape[1], rows.labels.columns, rows.labels.classes)
        first = trainer.restore(states.load(STATE)) if states is not None else 0
        for epoch in range(first, self.epochs):
            rng = np.random.default_rng([self.random_state, epoch])
            done = 0
            for block in rows.blocks(rng):
                block = block.select(chosen)
                order = rng.permutation(len(block.papers))
                for begin in range(0, len(order), self.batch):
                    batch = order[begin : begin + self.batch]
                    left = 1 - (epoch + done / papers) / self.epochs
                    trainer.step(
                        block.features[batch], rows.labels.indicator(block.papers[batch]), left, rng
                    )
                    done += len(batch)
            if states is not None and epoch + 1 < self.epochs:
                states.save(STATE, trainer.state(epoch + 1))
        self.terms_, self.labels_, self.intercept_ = (
            trainer.terms,
            trainer.labels,
            trainer.intercept,
        )
        return self

    def decision_function(self, features: sp.csr_matrix) -> Floats:
        """Return the scores, shape (papers, columns)."""
        return np.asarray((features @ self.terms_) @ self.labels_ + self.intercept_, np.float32)

    def parts(self, row: sp.csr_matrix) -> Floats:
        """Return what each stored term of one paper adds to each score, (stored terms, columns)."""
        return np.asarray((row.data[:, None] * self.terms_[row.indices]) @ self.labels_, np.float32)


class LowRankTrainer:
    """The stochastic gradients of a low-rank linear model.

    Args:
        model: the settings.
        terms: the number of terms.
        columns: the number of columns of the indicator.
        classes: how many of these are classes, the first ones.
    """

    def __init__(self, model: LowRankLinear, terms: int, columns: int, classes: int) -> None:
        rng = np.random.default_rng(model.random_state)
        self._model = model
        self._classes = classes
        self.terms = rng.standard_normal((terms, model.size), np.float32)
        self.terms *= np.float32(0.1)
        self.labels = rng.standard_normal((model.size, columns), np.float32)
        self.labels *= np.float32(model.size**-0.5)
        self.intercept = np.zeros(columns, np.float32)
        self._squares = np.zeros(terms, np.float32)
        self._moments = [_Moments.of(self.labels), _Moments.of(self.intercept)]
        self._steps = 0

    def step(
        self, features: sp.csr_matrix, indicator: Indicator, left: float, rng: np.random.Generator
    ) -> None:
        """Follow the gradient of some papers.

        Args:
            features: their TF-IDF, shape (papers, terms).
            indicator: their classes and listed categories, shape (papers, columns).
            left: the share of the training that is left, by which the rates fall.
            rng: of the dropped terms.
        """
        model = self._model
        self._steps += 1
        used, given = self._drop_terms(features, rng)
        embedded = self.terms[used]
        middle = given @ embedded
        slope = self._slope(middle @ self.labels + self.intercept, indicator)
        step_of_terms = given.T @ (slope @ self.labels.T)
        slopes = (middle.T @ slope, slope.sum(axis=0))
        self._squares[used] += np.einsum("ij,ij->i", step_of_terms, step_of_terms) / model.size
        rates = model.learning_rate * left / (np.sqrt(self._squares[used]) + TINY)
        self.terms[used] = embedded - step_of_terms * rates[:, None].astype(np.float32)
        for values, gradient, moment in zip(
            (self.labels, self.intercept), slopes, self._moments, strict=True
        ):
            values -= np.float32(model.label_rate * left) * moment.step(gradient, self._steps)

    def state(self, epochs: int) -> dict[str, Any]:
        """Return the state after some epochs, as a checkpoint holds it."""
        return {
            "epochs": epochs,
            "steps": self._steps,
            "terms": self.terms,
            "labels": self.labels,
            "intercept": self.intercept,
            "squares": self._squares,
            "moments": [vars(moment) for moment in self._moments],
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Continue from a state, and return the number of epochs that are done."""
        if state is None:
            return 0
        self.terms, self.labels = np.array(state["terms"]), np.array(state["labels"])
        self.intercept, self._squares = np.array(state["intercept"]), np.array(state["squares"])
        self._moments = [
            _Moments(**{name: np.array(values) for name, values in moment.items()})
            for moment in state["moments"]
        ]
        self._steps = int(state["steps"])
        return int(state["epochs"])

    def _drop_terms(
        self, rows: sp.csr_matrix, rng: np.random.Generator
    ) -> tuple[np.ndarray[Any, Any], sp.csr_matrix]:
        """Drop terms at random; return the terms used, and the rows over these alone."""
        dropout = self._model.dropout
        kept = rng.random(rows.nnz, np.float32) >= dropout
        data = rows.data * kept / np.float32(1 - dropout)
        used, place = np.unique(rows.indices, return_inverse=True)
        shape = (rows.shape[0], len(used))
        return used, sp.csr_matrix((data, place.astype(np.int32), rows.indptr), shape)

    def _slope(self, scores: Floats, truth: Indicator) -> Floats:
        """Return the gradient of the loss, a mean over the papers, by their scores."""
        classes = self._classes
        slope = np.empty_like(scores)
        own = np.exp(scores[:, :classes] - scores[:, :classes].max(axis=1, keepdims=True))
        slope[:, :classes] = own / own.sum(axis=1, keepdims=True) - truth[:, :classes]
        # The same as 1 / (1 + exp(-x)), without an overflow.
        listed = (1 + np.tanh(scores[:, classes:] / 2)) / 2
        slope[:, classes:] = self._model.listed_weight * (listed - truth[:, classes:])
        slope /= np.float32(len(scores))
        return slope


@dataclass
class _Moments:
    """Adam's running moments of a gradient. Source: arXiv:1412.6980."""

    first: Floats
    second: Floats

    @classmethod
    def of(cls, values: Floats) -> _Moments:
        return cls(np.zeros_like(values), np.zeros_like(values))

    def step(self, gradient: Floats, number: int) -> Floats:
        """Update the moments by a gradient, and return the step for a rate of 1."""
        slow, slower = MEMORY
        self.first += (1 - slow) * (gradient - self.first)
        self.second += (1 - slower) * (gradient * gradient - self.second)
        scale = (1 - slower**number) ** 0.5 / (1 - slow**number)
        return np.asarray(scale * self.first / (np.sqrt(self.second) + TINY), np.float32)
