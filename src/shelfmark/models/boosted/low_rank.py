"""A linear model of low rank, for hundreds of labels, which share one projection of the terms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from shelfmark.config.models import MOST_HIDDEN, MOST_MEMBERS, MOST_RANK
from shelfmark.core import checks
from shelfmark.core.arrays import Array, Floats, Indicator, SparseRow, SparseRows
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
from shelfmark.models.boosted.quantized import (
    multiply,
    multiply_alike,
    quantize_rows,
    sum_row,
    sum_rows,
    weigh_rows,
)
from shelfmark.models.boosted.scorers import MOST_SCORES, SEED, Stage

STATE = "epochs"  # the stage of a member that is not finished
FLOATS = checks.optional(checks.array(np.float32, 2))
# The attributes that older models lack: their table is of floats, without a hidden layer.
NEWER = ("hidden", "hidden_dropout", "members")
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

    Several members, fitted one after the other from different starts, stand side by side in the
    arrays: a row of `terms_` holds the numbers of all members, and the scores are the means of
    theirs. Their errors differ, so that the mean has fewer.

    The fitted rows are int8 with a scale for each member: `terms_` x `scales_`.

    Source: fastText (arXiv:1607.01759); Duchi et al. 2011, JMLR 12.

    Args:
        size: the rank of a member, numbers per term.
        epochs: passes of a member over the papers.
        learning_rate: first step of the terms, falling linearly to 0.
        label_rate: first step of everything else (Adam), falling alike.
        batch: papers a step.
        dropout: share of a paper's terms left out in a step.
        listed_weight: of a listed category's loss beside the classes'.
        random_state: seed of the start, the order and the dropout.
        hidden: units of a member's hidden layer; None for none.
        hidden_dropout: share of the hidden units left out for a paper in a step.
        members: models whose scores are averaged.
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
        "members": checks.integer(1, MOST_MEMBERS),
        "terms_": checks.either(checks.array(np.float32, 2), checks.array(np.int8, 2)),
        "scales_": checks.optional(checks.array(np.float32, 2, least=0)),
        "labels_": checks.array(np.float32, 2),
        "intercept_": checks.array(np.float32, 1),
        "hidden_": FLOATS,
        "hidden_labels_": FLOATS,
    }

    # Those of older models, which lack the attributes.
    hidden: int | None = None
    hidden_dropout: float = 0.0
    members: int = 1
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
        members: int = 1,
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
        self.members = members

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
        width = self.members * self.size
        checks.require_shape("terms_", self.terms_, (terms, width))
        checks.require_shape("labels_", self.labels_, (width, columns))
        if (self.terms_.dtype == np.int8) != (self.scales_ is not None):
            raise ValueError("scales_ should be there for int8 terms_ alone")
        if self.scales_ is not None:
            checks.require_shape("scales_", self.scales_, (terms, self.members))
        units = self.hidden or 0
        layers = {"hidden_": (width, units), "hidden_labels_": (self.members * units, columns)}
        for name, shape in layers.items():
            values = getattr(self, name)
            if (values is None) != (self.hidden is None):
                raise ValueError(f"{name} should be there with a hidden layer alone")
            if values is not None:
                checks.require_shape(name, values, shape)

    def fit(self, features: sp.csr_matrix, indicator: Indicator, classes: int) -> Self:
        """Fit on features of shape (papers, terms); the indicator's first columns are classes."""
        return self.fit_rows(MatrixRows(features, PaperLabels.of_indicator(indicator, classes)))

    def memory(self, rows: TrainingRows) -> int:
        """Return about how many bytes a fit takes.

        They are those of a table and its saved state, of the members in int8 before and after they
        are joined, and of a block.
        """
        numbers = rows.shape[1] * (self.size + 1)
        return (2 * 4 + 2 * self.members) * numbers + block_bytes(rows)

    def disk(self, terms: int, columns: int) -> int:
        """Return about how many bytes of disk the fitted model takes: its members in int8."""
        return self.members * terms * (self.size + 1)

    def working_disk(self, terms: int, fits: int, processes: int) -> int:
        """Return about how many bytes of disk some fits take until they are done.

        They are those of all members, and for each process of a state beside the one before.
        """
        states = 2 * 4 * min(processes, fits * self.members)
        return (fits * self.members + states) * terms * (self.size + 1)

    def fit_rows(
        self, rows: TrainingRows, chosen: Mask | None = None, states: Checkpoint | None = None
    ) -> Self:
        """Fit on the chosen papers of some rows, all if None.

        With `states`, the members and the state after each epoch are saved there, and the next run
        resumes from them.
        """
        fitted = []
        for name, fit in self.stages(chosen).items():
            if states is None:
                fitted.append(fit(rows, None))
            else:
                work = partial(fit, rows, states.nest_stage(name))
                fitted.append(states.compute_once(name, work))
        self.terms_, self.scales_ = (
            np.concatenate([member.pop(name) for member in fitted], axis=1)
            for name in ("terms", "scales")
        )
        share = np.float32(1 / self.members)
        self.intercept_ = share * np.sum([member["intercept"] for member in fitted], axis=0)
        self.labels_ = share * np.vstack([member["labels"] for member in fitted])
        self.hidden_ = self.hidden_labels_ = None
        if self.hidden is not None:
            self.hidden_ = np.vstack([member["hidden"] for member in fitted])
            self.hidden_labels_ = share * np.vstack([member["hidden_labels"] for member in fitted])
        return self

    def decision_function(self, features: sp.csr_matrix) -> Floats:
        """Return the scores, shape (papers, columns)."""
        blocks = [self.scores_of(middle) for middle in self._middle(features)]
        return np.vstack(blocks) if blocks else np.zeros((0, self.shape[1]), np.float32)

    def score_rows(self, features: SparseRows) -> Floats:
        """Return the same from rows without a matrix, to the last bit."""
        return self.scores_of(sum_rows(features, self.terms_, self.scales_))

    def parts(self, features: SparseRow) -> Floats:
        """Return what each stored term of one paper adds to each score, (stored terms, columns)."""
        weights = self.labels_.copy()
        middle = sum_row(features, self.terms_, self.scales_)[None]
        for part, hidden, labels in self._layers():
            active = (middle[:, part] @ hidden)[0] > 0
            weights[part] += hidden[:, active] @ labels[active]
        rows = weigh_rows(features, self.terms_, self.scales_)
        return np.asarray(rows @ weights, np.float32)

    def stages(self, chosen: Mask | None) -> dict[str, Stage]:
        """Return the fits of the members on the chosen papers, by their names in `states`."""
        return {
            f"member-{number}": partial(self._fit_member, number, chosen)
            for number in range(self.members)
        }

    def _fit_member(
        self, number: int, chosen: Mask | None, rows: TrainingRows, states: Checkpoint | None
    ) -> dict[str, Array]:
        """Return the arrays of a fitted member."""
        papers = rows.shape[0] if chosen is None else int(chosen.sum())
        labels = rows.labels
        settings = self._settings(number)
        trainer = LowRankTrainer(settings, rows.shape[1], labels.columns, labels.classes)
        first = trainer.restore(states.load(STATE)) if states is not None else 0
        for epoch in range(first, self.epochs):
            rng = np.random.default_rng([self.random_state, number, epoch])
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
        terms, scales = quantize_rows(trainer.terms)
        return {"terms": terms, "scales": scales, **trainer.weights}

    def _settings(self, member: int) -> TrainerSettings:
        return TrainerSettings(
            self.size,
            self.hidden,
            self.learning_rate,
            self.label_rate,
            self.dropout,
            self.hidden_dropout,
            self.listed_weight,
            (self.random_state, member),
        )

    def _middle(self, features: sp.csr_matrix) -> Iterator[Floats]:
        """Yield the sums of the vectors of each paper's terms, some papers at a time."""
        if self.scales_ is None:
            yield np.asarray(features @ self.terms_, np.float32)
        else:
            yield from multiply(features, self.terms_, self.scales_)

    def scores_of(self, middle: Floats) -> Floats:
        """Return the scores of sums of rows, shape (papers, columns).

        Args:
            middle: the sum of the rows of each paper's terms, shape (papers, members x size).
        """
        scores = multiply_alike(middle, self.labels_) + self.intercept_
        for part, hidden, labels in self._layers():
            units = np.maximum(multiply_alike(middle[:, part], hidden), 0)
            scores += multiply_alike(units, labels)
        return np.asarray(scores, np.float32)

    def _layers(self) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield where the numbers of each member lie, and the two matrices of its hidden layer."""
        if self.hidden is None or self.hidden_ is None or self.hidden_labels_ is None:
            return
        for member in range(self.members):
            part = slice(member * self.size, (member + 1) * self.size)
            units = slice(member * self.hidden, (member + 1) * self.hidden)
            yield part, self.hidden_[part], self.hidden_labels_[units]
