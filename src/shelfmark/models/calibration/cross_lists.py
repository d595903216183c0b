"""Suggestions of cross-lists: the probability that a paper is listed under a category too."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import scipy.sparse as sp
from scipy.special import expit
from sklearn.base import BaseEstimator

from shelfmark.core import checks
from shelfmark.core.arrays import Array, Floats, Indicator, Ints
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured

if TYPE_CHECKING:
    from shelfmark.data.labels import Targets

RARE = 1e-3  # added to shares before their logarithm
MOST_FITTED = 20_000  # papers: more tell no more of eleven numbers
OLDER_INPUTS, INPUTS = 2, 10  # of the regression of cross-lists, before and now
CALIBRATED = 2  # categories of a paper: as many are suggested
GROUPS, GROUPED = 40, 100  # most groups of suggestions, and fewest of a group
FEWEST_GROUPS = 3
LEAST = 1e-5  # probability in a logarithm


class CrossLists(Structured, BaseEstimator):  # type: ignore[misc]
    """The probability that a paper is listed under each listed category too.

    A logistic regression, for each paper and category, of the score of the category, how often
    training papers of the paper's class are listed under it, and its probability as the primary
    category. An isotonic regression maps its probabilities to the shares that came true of the two
    best categories of each paper. A primary category is one of a paper's categories: no probability
    is below that of the ranking.

    Args:
        column: where the scores of the listed categories begin among the features.
        categories: the names of the listed categories.
        own: for each class its place among them, -1 if it is not listed; a class is never
            suggested to its own papers.
    """

    STATE: ClassVar[State] = {
        "column": checks.integer(),
        "categories": checks.items(checks.string(), tuple),
        "own": checks.items(checks.integer(-1)),
        "habits_": checks.array(np.float32, 2),
        "weights_": checks.array(np.float32, 1),
        "intercept_": checks.number(-checks.LARGEST, checks.LARGEST),
        "knots_": checks.optional(checks.array(np.float32, 2, least=0, most=1)),
    }

    knots_: Floats | None = None  # older models lack it, and have two weights

    def __init__(self, column: int, categories: tuple[str, ...], own: list[int]) -> None:
        self.column = column
        self.categories = categories
        self.own = own

    @classmethod
    def check_state(cls, state: Any) -> None:
        """Check the values of a state one by one; older models lack the knots.

        Raises:
            ValueError: one is missing, unknown or invalid.
        """
        if type(state) is dict and "weights_" in state:
            state = {"knots_": None} | state
        super().check_state(state)

    def check_structure(self) -> None:
        """Check that the habits are those of the classes and of the categories.

        Raises:
            ValueError: they are not, or the knots do not rise.
        """
        categories = len(self.categories)
        checks.require_range("own", self.own, -1, categories - 1)
        checks.require_shape("habits_", self.habits_, (len(self.own), categories))
        if self.knots_ is None:
            checks.require_shape("weights_", self.weights_, (OLDER_INPUTS,))
            return
        checks.require_shape("weights_", self.weights_, (INPUTS,))
        checks.require_shape("knots_", self.knots_, (2, self.knots_.shape[1]))
        if not self.knots_.size or (np.diff(self.knots_) < 0).any():
            raise ValueError("knots_ should rise")

    @classmethod
    def learn(cls, targets: Targets, own: Array, membership: sp.csr_matrix) -> Self:
        """Return the cross-lists of a model, whose listed scores follow those of the classes.

        Args:
            targets: the classes and the listed categories.
            own: the class of each training paper.
            membership: 1 where a training paper has a listed category, shape (papers, listed).
        """
        places = [
            targets.listed.index(label) if label in targets.listed else -1
            for label in targets.classes
        ]
        return cls(len(places), targets.listed, places).learn_habits(own, membership)

    def fit_if_possible(
        self, scores: Floats, probabilities: Floats, membership: Indicator
    ) -> Self | None:
        """Fit as `fit` does; None where all papers are listed elsewhere, or none.

        The shapes are those of `fit`: (papers, listed), (papers, classes) and (papers, listed).
        """
        asked = self.may_suggest(probabilities.argmax(axis=1))
        if len(np.unique(membership[asked])) < 2:
            return None
        return self.fit(scores, probabilities, membership)

    def learn_habits(self, targets: Array, membership: sp.csr_matrix) -> Self:
        """Count the categories under which the training papers of each class are listed.

        Args:
            targets: the class of each paper.
            membership: 1 where a paper has a listed category, shape (papers, listed).
        """
        papers = np.bincount(targets, minlength=len(self.own))
        ones = np.ones(len(targets), np.float32)
        ends = np.arange(len(targets) + 1)
        classes = sp.csr_matrix((ones, targets, ends), (len(targets), len(self.own)))
        counts = (classes.T @ sp.csr_matrix(membership)).toarray("C")
        share = counts / np.maximum(papers[:, None], 1)
        self.habits_ = np.log((share + RARE) / (1 - share + RARE)).astype(np.float32)
        return self

    def may_suggest(self, best: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which categories may be suggested to papers of these classes: not their own.

        The shape is (papers, listed categories).
        """
        return np.asarray(self._places.own[best][:, None] != np.arange(len(self.categories)))

    def fit(self, scores: Floats, probabilities: Floats, membership: Indicator) -> CrossLists:
        """Fit on papers not trained on.

        Of more than `MOST_FITTED` papers, as many are read at equal distances.

        Args:
            scores: of the categories, shape (papers, listed).
            probabilities: of the classes, shape (papers, classes).
            membership: 1 where a paper has a listed category, shape (papers, listed).
        """
        from sklearn.linear_model import LogisticRegression  # a prediction does not need it

        some = slice(None, None, max(1, -(-len(probabilities) // MOST_FITTED)))
        scores, probabilities, membership = scores[some], probabilities[some], membership[some]
        asked = self.may_suggest(probabilities.argmax(axis=1))
        inputs = self._inputs(scores, probabilities)
        regression = LogisticRegression(C=1e6, max_iter=1000).fit(inputs[asked], membership[asked])
        self.weights_ = regression.coef_[0].astype(np.float32)
        self.intercept_ = float(regression.intercept_[0])
        given = np.where(asked, self._regress(inputs), 0)
        best = np.argsort(-given, axis=1, kind="stable")[:, :CALIBRATED]
        self.knots_ = _rising_knots(
            np.take_along_axis(given, best, axis=1), np.take_along_axis(membership, best, axis=1)
        )
        return self

    def probabilities(self, scores: Floats, probabilities: Floats) -> Floats:
        """Return the probability of each listed category, 0 for the class itself.

        Args:
            scores: of the categories, as `scores_in` returns them, shape (papers, listed).
            probabilities: of the classes, shape (papers, classes).
        """
        best = probabilities.argmax(axis=1)
        if self.knots_ is None:
            given = self._regress(np.stack([scores, self.habits_[best]], axis=2))
        else:
            mapped = np.interp(self._regress(self._inputs(scores, probabilities)), *self.knots_)
            given = np.maximum(mapped, self._as_primary(probabilities)).astype(np.float32)
        return np.where(self.may_suggest(best), given, 0).astype(np.float32)

    def _regress(self, inputs: Floats) -> Floats:
        return np.asarray(expit(inputs @ self.weights_ + self.intercept_))

    def scores_in(self, features: sp.csr_matrix) -> Floats:
        """Return the scores of the categories among features, shape (papers, listed)."""
        end = self.column + len(self.categories)
        return np.asarray(features[:, self.column : end].toarray(), np.float32)

    def _as_primary(self, probabilities: Floats) -> Floats:
        """Return the probability of each category as the primary one, 0 for one that is no class.

        The shape is (papers, listed categories).
        """
        given = np.zeros((len(probabilities), len(self.categories)), np.float32)
        given[:, self._places.own[self._places.classes]] = probabilities[:, self._places.classes]
        return given

    @cached_property
    def _places(self) -> _Places:
        """The places of the classes, as arrays."""
        return _Places.of(self.own, len(self.categories))

    def _inputs(self, score: Floats, probabilities: Floats) -> Floats:
        """Return what the regression reads, shape (papers, listed categories, `INPUTS`)."""
        habit = self.habits_[probabilities.argmax(axis=1)]
        first = np.minimum(np.maximum(probabilities.max(axis=1), LEAST), 1 - LEAST)[:, None]
        certainty = np.log(first / (1 - first))
        is_class = self._places.is_class
        rank = np.log(np.minimum(np.maximum(self._as_primary(probabilities), LEAST), 1)) * is_class
        inputs = np.empty((*score.shape, INPUTS), np.float32)
        columns = (score, habit, certainty, rank, is_class,
                   score * habit, score**2, habit**2, rank**2, rank * certainty)  # fmt: skip
        for place, column in enumerate(columns):
            inputs[:, :, place] = column
        return inputs


class _Places(NamedTuple):
    """Which listed category each class is.

    Attributes:
        own: for each class its place among them, -1 if it is not listed.
        classes: the classes that are listed.
        is_class: 1 for the categories that are classes, float32 of shape (listed categories,).
    """

    own: Ints
    classes: Ints
    is_class: Floats

    @classmethod
    def of(cls, own: list[int], categories: int) -> _Places:
        """Return the places in such a list."""
        places = np.array(own)
        classes = np.flatnonzero(places >= 0)
        is_class = np.zeros(categories, np.float32)
        is_class[places[classes]] = 1
        return cls(places, classes, is_class)


def _rising_knots(given: Floats, came_true: Indicator) -> Floats:
    """Return the knots of an isotonic regression: probabilities and shares, shape (2, knots).

    It is fitted on the means of groups of neighbours, for a few lucky suggestions at an end would
    make the shares there 0 or 1.
    """
    from sklearn.isotonic import IsotonicRegression  # a prediction does not need it

    order = np.argsort(given.ravel(), kind="stable")
    groups = min(GROUPS, len(order) // GROUPED)
    if groups < FEWEST_GROUPS:  # too few to tell more than the regression
        return np.array([[0, 1], [0, 1]], np.float32)
    means = np.array(
        [(given.ravel()[part].mean(), came_true.ravel()[part].mean(), len(part))
         for part in np.array_split(order, groups)]
    )  # fmt: skip
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(means[:, 0], means[:, 1], means[:, 2])
    return np.stack([fitted.X_thresholds_, fitted.y_thresholds_]).astype(np.float32)
