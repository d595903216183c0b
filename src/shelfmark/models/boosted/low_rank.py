"""A linear model of low rank, for hundreds of labels, which share one projection of the terms."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from shelfmark.config.schema import MOST_HIDDEN, MOST_RANK
from shelfmark.core import checks
from shelfmark.core.arrays import Array, Floats, Indicator
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.models.boosted.fitting.gradients import LowRankTrainer, TrainerSettings
from shelfmark.models.boosted.fitting.rows import (
    Mask,
    MatrixRows,
    PaperLabels,
    TrainingRows,
    block_bytes,
)
from shelfmark.models.boosted.scorers import MOST_SCORES, SEED

STATE = "low_rank-epochs"
LARGEST = 127  # of an int8
TOGETHER = 1024  # papers whose terms are turned into floats at a time: some 40 MB
FLOATS = checks.optional(checks.array(np.float32, 2))
# The attributes that older models lack: their table is of floats, without a hidden layer.
NEWER = ("hidden", "hidden_dropout")
NEWER_FITTED = ("scales_", "hidden_", "hidden_labels_")


class LowRankLinear(Structured, BaseEstimator):  # type: ignore[misc]
    """Scores from the sum of a vector for each term, fitted by stochastic gradients.

    With z = features x `terms_`, the scores are z x `labels_` + `intercept_`, and with a hidden
    layer in addition max(z x `hidden_`, 0) x `hidden_labels_`. The layer has no bias, so that
    around a paper the scores are linear in its terms, and exactly the sum of their parts.

    The classes learn by their softmax's log loss, the listed categories each by a logistic loss;
    what a category's cross-lists teach of a term serves every label. A term's step follows the mean
    square of its row's gradients (AdaGrad with one number a row), so that only the rows of a
    batch's terms are touched: a third of the time of Adam, and more accurate here.

    The fitted rows are int8 with a scale each: `terms_` x `scales_`.

    Source: fastText (arXiv:1607.01759); Duchi et al. 2011, JMLR 12.

    Args:
        size: the rank, numbers per term.
        epochs: passes over the papers.
        learning_rate: first step of the terms, falling linearly to 0.
        label_rate: first step of everything else (Adam), falling alike.
        batch: papers a step.
        dropout: share of a paper's terms left out in a step.
        listed_weight: of a listed category's loss beside the classes'.
        random_state: seed of the start, the order and the dropout.
        hidden: units of the hidden layer; None for none.
        hidden_dropout: share of the hidden units left out for a paper in a step.
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
        "hidden": checks.optional(checks.integer(1, MOST_HIDDEN)),
        "hidden_dropout": checks.number(0, 1),
        "terms_": checks.either(checks.array(np.float32, 2), checks.array(np.int8, 2)),
        "scales_": checks.optional(checks.array(np.float32, 1, least=0)),
        "labels_": checks.array(np.float32, 2),
        "intercept_": checks.array(np.float32, 1),
        "hidden_": FLOATS,
        "hidden_labels_": FLOATS,
    }

    # Those of older models, which lack the attributes.
    hidden: int | None = None
    hidden_dropout: float = 0.0
    scales_: Floats | None = None
    hidden_: Floats | None = None
    hidden_labels_: Floats | None = None

    def __init__(
        self,
        size: int = 128,
        epochs: int = 3,
        learning_rate: float = 0.05,
        label_rate: float = 0.002,
        batch: int = 512,
        dropout: float = 0.1,
        listed_weight: float = 0.3,
        random_state: int = 0,
        hidden: int | None = None,
        hidden_dropout: float = 0.0,
    ) -> None:
        self.size = size
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.label_rate = label_rate
        self.batch = batch
        self.dropout = dropout
        self.listed_weight = listed_weight
        self.random_state = random_state
        self.hidden = hidden
        self.hidden_dropout = hidden_dropout

    @property
    def shape(self) -> tuple[int, int]:
        """The number of terms and of columns."""
        return len(self.terms_), len(self.intercept_)

    @classmethod
    def check_state(cls, state: Any) -> None:
        """Check the values of a state one by one; older models lack some.

        Raises:
            ValueError: one is missing, unknown or invalid.
        """
        if type(state) is dict:
            newer = NEWER + (NEWER_FITTED if "terms_" in state else ())
            state = {name: getattr(cls, name) for name in newer} | state
        super().check_state(state)

    def check_structure(self) -> None:
        """Check that the arrays have the same rank and the same columns.

        Raises:
            ValueError: they do not.
        """
        if "terms_" not in vars(self):
            return
        terms, columns = self.shape
        checks.require_range("columns", [columns], 1, MOST_SCORES)
        checks.require_shape("terms_", self.terms_, (terms, self.size))
        checks.require_shape("labels_", self.labels_, (self.size, columns))
        if (self.terms_.dtype == np.int8) != (self.scales_ is not None):
            raise ValueError("scales_ should be there for int8 terms_ alone")
        if self.scales_ is not None:
            checks.require_shape("scales_", self.scales_, (terms,))
        layers = {"hidden_": (self.size, self.hidden), "hidden_labels_": (self.hidden, columns)}
        for name, shape in layers.items():
            values = getattr(self, name)
            if (values is None) != (self.hidden is None):
                raise ValueError(f"{name} should be there with a hidden layer alone")
            if values is not None:
                checks.require_shape(name, values, shape)  # type: ignore[arg-type]

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
        labels = rows.labels
        trainer = LowRankTrainer(self._settings(), rows.shape[1], labels.columns, labels.classes)
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
                    indicator = labels.indicator(block.papers[batch])
                    trainer.step(block.features[batch], indicator, left, rng)
                    done += len(batch)
            if states is not None and epoch + 1 < self.epochs:
                states.save(STATE, trainer.state(epoch + 1))
        self.terms_, self.scales_ = quantize_rows(trainer.terms)
        for name in ("labels", "intercept", "hidden", "hidden_labels"):
            setattr(self, f"{name}_", trainer.weights.get(name))
        return self

    def decision_function(self, features: sp.csr_matrix) -> Floats:
        """Return the scores, shape (papers, columns)."""
        blocks = [
            self._scores(self._middle(features[begin : begin + TOGETHER]))
            for begin in range(0, features.shape[0], TOGETHER)
        ]
        return np.vstack(blocks) if blocks else np.zeros((0, self.shape[1]), np.float32)

    def parts(self, row: sp.csr_matrix) -> Floats:
        """Return what each stored term of one paper adds to each score, (stored terms, columns)."""
        weights = self.labels_
        if self.hidden_ is not None and self.hidden_labels_ is not None:
            active = (self._middle(row) @ self.hidden_)[0] > 0
            weights = weights + self.hidden_[:, active] @ self.hidden_labels_[active]
        return np.asarray((row.data[:, None] * self._rows(row.indices)) @ weights, np.float32)

    def _settings(self) -> TrainerSettings:
        return TrainerSettings(
            self.size,
            self.hidden,
            self.learning_rate,
            self.label_rate,
            self.dropout,
            self.hidden_dropout,
            self.listed_weight,
            self.random_state,
        )

    def _middle(self, features: sp.csr_matrix) -> Floats:
        """Return the sum of the vectors of each paper's terms, shape (papers, size)."""
        if self.scales_ is None:
            return np.asarray(features @ self.terms_, np.float32)
        used, place = np.unique(features.indices, return_inverse=True)
        shape = (features.shape[0], len(used))
        narrow = sp.csr_matrix((features.data, place.astype(np.int32), features.indptr), shape)
        return np.asarray(narrow @ self._rows(used), np.float32)

    def _scores(self, middle: Floats) -> Floats:
        scores = middle @ self.labels_ + self.intercept_
        if self.hidden_ is not None and self.hidden_labels_ is not None:
            scores += np.maximum(middle @ self.hidden_, 0) @ self.hidden_labels_
        return np.asarray(scores, np.float32)

    def _rows(self, terms: Array) -> Floats:
        """Return the vectors of some terms, shape (terms, size)."""
        rows = self.terms_[terms].astype(np.float32, copy=False)
        if self.scales_ is not None:
            rows *= self.scales_[terms, None]
        return rows


def quantize_rows(rows: Floats) -> tuple[Array, Floats]:
    """Return rows as int8, and the scale of each: the quotients differ by half a scale at most."""
    scales = np.abs(rows).max(axis=1, initial=np.finfo(np.float32).tiny) / np.float32(LARGEST)
    quantized = np.empty(rows.shape, np.int8)
    for begin in range(0, len(rows), TOGETHER):
        part = slice(begin, begin + TOGETHER)
        quantized[part] = np.rint(rows[part] / scales[part, None])
    return quantized, scales.astype(np.float32, copy=False)
