"""Models that score every class, and every category a paper may be cross-listed under.

All are linear in the features, so that a score is a sum over the words of a paper. They learn from
an indicator matrix: one column a class, of which each paper has one, then one column for each
listed category.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from shelfmark.core import checks
from shelfmark.core.arrays import Doubles, Floats, Indicator, SparseRow, SparseRows
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.models.boosted.fitting.rows import (
    Mask,
    MatrixRows,
    PaperLabels,
    TrainingRows,
    block_bytes,
    gather_rows,
)
from shelfmark.models.boosted.quantized import (
    multiply,
    quantize_rows,
    sum_rows,
    weigh_rows,
)
from shelfmark.models.card import MOST_CLASSES

SEED = checks.integer(0, 2**32 - 1)
CLASS_COUNT = checks.integer(2, MOST_CLASSES)
MOST_SCORES = 2 * MOST_CLASSES  # of a scorer: a class and a listed category each
LIBLINEAR_BYTES = 24  # for each stored feature: the parts read, joined, and copied by liblinear
BAYES_BYTES = 12  # for each term and class: a count, its part of a copied row, and a weight
TOLERANCE = 0.1  # of the dual solver, as liblinear's own: 1e-4 answers no better and takes longer
LEAST_PRIOR = -50  # the logarithm, of a class without a paper
SMOOTHED = 4096  # terms whose logarithms are taken at a time

# Returns a part of a fit on some rows, the state of which is saved in the checkpoint.
Stage = Callable[[TrainingRows, Checkpoint | None], Any]


class Scorer(Protocol):
    """The interface of a scorer."""

    @property
    def shape(self) -> tuple[int, int]:
        """The number of terms and of columns, once it is fitted."""

    def fit_rows(
        self, rows: TrainingRows, chosen: Mask | None = None, states: Checkpoint | None = None
    ) -> Self:
        """Fit on the chosen papers of some rows, all if None.

        Args:
            rows: of the training papers.
            chosen: which papers, shape (papers,).
            states: where a long fit saves its state, from which the next run resumes it.
        """

    def stages(self, chosen: Mask | None) -> dict[str, Stage]:
        """Return the long parts of a fit on the chosen papers, by their names in its `states`."""

    def memory(self, rows: TrainingRows) -> int:
        """Return about how many bytes a fit on the rows takes."""

    def disk(self, terms: int, columns: int) -> int:
        """Return about how many bytes of disk the fitted scorer takes."""

    def working_disk(self, terms: int, fits: int, processes: int) -> int:
        """Return about how many bytes of disk some fits take until they are done.

        Args:
            terms: their number.
            fits: number of fits, all together.
            processes: number of fits at a time.
        """

    def decision_function(self, features: sp.csr_matrix) -> Floats:
        """Return the scores, shape (papers, columns)."""

    def score_rows(self, features: SparseRows) -> Floats:
        """Return the same from rows without a matrix, to the last bit."""

    def parts(self, features: SparseRow) -> Floats:
        """Return what each stored term of one paper adds to each score, (stored terms, columns)."""


class LinearScorer(Structured, BaseEstimator):  # type: ignore[misc]
    """One vector of weights a score: `weights_` of shape (terms, columns), and `intercept_`."""

    FITTED: ClassVar[State] = {
        "weights_": checks.array(np.float32, 2),
        "intercept_": checks.array(np.float32, 1),
    }

    weights_: Floats
    intercept_: Floats
    scales_: Floats | None = None  # of weights that are int8

    def fit(self, features: sp.csr_matrix, indicator: Indicator, classes: int) -> Self:
        """Fit on features of shape (papers, terms); the indicator's first columns are classes."""
        return self.fit_rows(MatrixRows(features, PaperLabels.of_indicator(indicator, classes)))

    def fit_rows(
        self, rows: TrainingRows, chosen: Mask | None = None, states: Checkpoint | None = None
    ) -> Self:
        """Fit on the chosen papers of some rows, all if None."""
        raise NotImplementedError

    def stages(self, chosen: Mask | None) -> dict[str, Stage]:
        """Return nothing: the fit has no parts."""
        return {}

    def working_disk(self, terms: int, fits: int, processes: int) -> int:
        """Return 0: no state is saved."""
        return 0

    @property
    def shape(self) -> tuple[int, int]:
        """The number of terms and of columns."""
        terms, columns = self.weights_.shape
        return terms, columns

    def check_structure(self) -> None:
        """Check that there is an intercept for each column.

        Raises:
            ValueError: there is not.
        """
        if "weights_" in vars(self):
            checks.require_range("columns", [self.shape[1]], 1, MOST_SCORES)
            checks.require_shape("intercept_", self.intercept_, self.weights_.shape[1:])

    def decision_function(self, features: sp.csr_matrix) -> Floats:
        """Return the scores, shape (papers, columns)."""
        return np.asarray(features @ self.weights_ + self.intercept_, np.float32)

    def score_rows(self, features: SparseRows) -> Floats:
        """Return the same from rows without a matrix, to the last bit."""
        return sum_rows(features, self.weights_, self.scales_) + self.intercept_

    def parts(self, features: SparseRow) -> Floats:
        """Return what each stored term of one paper adds to each score, (stored terms, columns)."""
        return weigh_rows(features, self.weights_, self.scales_)


class Svm(LinearScorer):
    """A linear SVM for each class and each listed category, one-vs-rest.

    Args:
        C: inverse strength of the regularisation.
        random_state: seed of the solver.
    """

    STATE: ClassVar[State] = {"C": checks.number(0), "random_state": SEED, **LinearScorer.FITTED}

    def __init__(self, C: float = 0.2, random_state: int = 0) -> None:  # noqa: N803
        self.C = C
        self.random_state = random_state

    def memory(self, rows: TrainingRows) -> int:
        """Return about how many bytes a fit takes: all rows, and those of liblinear."""
        terms, labels = rows.shape[1], rows.labels
        return rows.stored * LIBLINEAR_BYTES + 4 * terms * labels.columns

    def disk(self, terms: int, columns: int) -> int:
        """Return about how many bytes of disk the fitted scorer takes: the weights."""
        return 4 * terms * columns

    def fit_rows(
        self, rows: TrainingRows, chosen: Mask | None = None, states: Checkpoint | None = None
    ) -> Self:
        """Fit one SVM per column; a column of one value gets a constant score."""
        from sklearn.svm import LinearSVC  # a prediction does not need it

        block = gather_rows(rows, chosen)
        indicator = rows.labels.indicator(block.papers)
        # Once, or scikit-learn copies all values for each column.
        features = block.features.astype(np.float64)
        del block
        terms, columns = features.shape[1], indicator.shape[1]
        self.weights_ = np.zeros((terms, columns), np.float32)
        self.intercept_ = np.where(indicator[0], 1, -1).astype(np.float32)
        for column in np.flatnonzero(indicator.min(axis=0) != indicator.max(axis=0)):
            # The dual solver also for more papers than terms: the other is three times as slow.
            machine = LinearSVC(C=self.C, tol=TOLERANCE, random_state=self.random_state, dual=True)
            machine.fit(features, indicator[:, column])
            self.weights_[:, column] = machine.coef_[0]
            self.intercept_[column] = machine.intercept_[0]
        return self


class Bayes(LinearScorer):
    """Multinomial naive Bayes over the classes alone, the scores of each paper centred.

    The fitted weights are int8 with a scale for each term: `weights_` x `scales_`.

    Args:
        alpha: additive smoothing.
    """

    STATE: ClassVar[State] = {
        "alpha": checks.number(0),
        "weights_": checks.either(checks.array(np.float32, 2), checks.array(np.int8, 2)),
        "intercept_": checks.array(np.float32, 1),
        "scales_": checks.optional(checks.array(np.float32, 2, least=0)),
    }

    def __init__(self, alpha: float = 0.02) -> None:
        self.alpha = alpha

    def memory(self, rows: TrainingRows) -> int:
        """Return about how many bytes a fit takes: counts and weights of the classes, a block."""
        return BAYES_BYTES * rows.shape[1] * rows.labels.classes + block_bytes(rows)

    def disk(self, terms: int, columns: int) -> int:
        """Return about how many bytes of disk the fitted scorer takes: weights and scales."""
        return terms * (columns + 4)

    def fit_rows(
        self, rows: TrainingRows, chosen: Mask | None = None, states: Checkpoint | None = None
    ) -> Self:
        """Fit; the scores of a class without papers come from the smoothing alone."""
        counts, papers = self._count(rows, chosen)
        terms, classes = rows.shape[1], rows.labels.classes
        totals = np.log([(row + self.alpha).sum() for row in counts])
        self.weights_ = np.empty((terms, classes), np.int8)
        self.scales_ = np.empty((terms, 1), np.float32)
        for begin in range(0, terms, SMOOTHED):
            part = slice(begin, begin + SMOOTHED)
            weights = (np.log(counts[:, part] + self.alpha) - totals[:, None]).T
            weights -= weights.mean(axis=1, keepdims=True)
            centred = np.ascontiguousarray(weights, np.float32)
            self.weights_[part], self.scales_[part] = quantize_rows(centred)
        with np.errstate(divide="ignore"):
            prior = np.maximum(np.log(papers) - np.log(papers.sum()), LEAST_PRIOR)
        self.intercept_ = (prior - prior.mean()).astype(np.float32)
        return self

    def _count(self, rows: TrainingRows, chosen: Mask | None) -> tuple[Doubles, Doubles]:
        """Return the sums of each term by class, shape (classes, terms), and the papers of each."""
        classes = rows.labels.classes
        counts, papers = np.zeros((classes, rows.shape[1])), np.zeros(classes)
        for block in rows.blocks():
            block = block.select(chosen)
            own = rows.labels.targets[block.papers]
            ones = (np.ones(len(own)), (own, np.arange(len(own))))
            sums = (sp.csr_matrix(ones, (classes, len(own))) @ block.features).tocsr()
            for number in range(classes):  # in place: a dense block takes as much as all counts
                some = slice(sums.indptr[number], sums.indptr[number + 1])
                counts[number, sums.indices[some]] += sums.data[some]
            papers += np.bincount(own, minlength=classes)
        return counts, papers

    @classmethod
    def check_state(cls, state: Any) -> None:
        """Check the values of a state one by one; older models have no scales.

        Raises:
            ValueError: one is missing, unknown or invalid.
        """
        if type(state) is dict and "weights_" in state:
            state = {"scales_": None} | state
        super().check_state(state)

    def check_structure(self) -> None:
        """Check that there is an intercept for each column, and a scale for each term of int8.

        Raises:
            ValueError: there is not.
        """
        super().check_structure()
        if "weights_" not in vars(self):
            return
        if (self.weights_.dtype == np.int8) != (self.scales_ is not None):
            raise ValueError("scales_ should be there for int8 weights_ alone")
        if self.scales_ is not None:
            checks.require_shape("scales_", self.scales_, (len(self.weights_), 1))

    def decision_function(self, features: sp.csr_matrix) -> Floats:
        """Return the scores, shape (papers, columns)."""
        if self.scales_ is None:
            return super().decision_function(features)
        products = multiply(features, self.weights_, self.scales_)
        blocks = [block + self.intercept_ for block in products]
        return np.vstack(blocks) if blocks else np.zeros((0, self.shape[1]), np.float32)
