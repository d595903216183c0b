"""From features to a margin for each class: trees, re-ranked candidates, or the scores.

A classifier is fitted on features of which the first columns are the scores of the stack, one block
after the other. `margins` gives one number a paper and class, the softmax of which are
probabilities; `contributions` explains the margin of one class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import scipy.sparse as sp
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator

from shelfmark.config.models import MOST_CANDIDATES
from shelfmark.core import checks
from shelfmark.core.arrays import Doubles, Floats, Ints
from shelfmark.core.checks import State
from shelfmark.core.structure import Blob, Structured
from shelfmark.models.boosted.booster_file.compiled import CompiledTrees
from shelfmark.models.boosted.booster_file.opening import Ensemble, read_booster
from shelfmark.models.boosted.booster_file.shapley import LeafPaths
from shelfmark.models.boosted.boosting import Objective, Rows
from shelfmark.models.boosted.quantized import multiply_alike
from shelfmark.models.boosted.scorers import CLASS_COUNT
from shelfmark.models.calibration.softmax import log_softmax_rows, log_sum_exp_rows

if TYPE_CHECKING:
    import xgboost

# Grows trees for an objective on rows to train on, until validation stops improving.
Grow = Callable[[Objective, Rows, Rows], "xgboost.Booster"]

BOOSTER = "booster.ubj"
MOST_SCORERS = 4  # of a stack, with a network
BLOCK = 1 << 14  # papers whose candidates are ranked at a time
DENSE = 1 << 18  # numbers of rows that trees read at a time
STILL = 0.2  # standard deviations from the mean within which a score has no direction


@dataclass(frozen=True)
class Contributions:
    """The parts of the margin of one class of one paper.

    Args:
        margin: the classifier's margin.
        slopes: its slope in each score of the stack.
        terms: what each feature behind the scores adds to it.
    """

    margin: float
    slopes: Floats
    terms: Floats


class Head(Protocol):
    """Turns features into the margin of each class."""

    classes: int

    @property
    def rounds(self) -> int:
        """The number of rounds of trees, 0 without any."""

    @property
    def scores(self) -> int:
        """The number of leading features that have to be scores."""

    def fit(self, train: tuple[Any, Ints], validation: tuple[Any, Ints], grow: Grow) -> Self:
        """Fit on train; validation, without unknown classes, stops the trees."""

    def margins(self, features: sp.csr_matrix) -> Floats:
        """Return the margin of each class, shape (papers, classes)."""

    def margins_of(self, features: Floats) -> Floats:
        """Return the same for dense features, shape (papers, columns), 0 where none is stored."""

    def contributions(
        self, features: Floats, number: int, means: Floats, deviations: Floats
    ) -> Contributions:
        """Return the parts of the margin of a class of one paper.

        Args:
            features: of the paper, shape (columns,), 0 where none is stored; scores come first.
            number: of the class.
            means: of the scores over the training papers, shape (scores,).
            deviations: their standard deviations.
        """


class LinearHead(Structured, BaseEstimator):  # type: ignore[misc]
    """The scores of the first scorer, unchanged.

    Args:
        classes: number of classes.
    """

    STATE: ClassVar[State] = {"classes": CLASS_COUNT}
    rounds = 0

    def __init__(self, classes: int) -> None:
        self.classes = classes

    @property
    def scores(self) -> int:
        """The number of leading features that have to be scores."""
        return self.classes

    def fit(self, train: Any, validation: Any, grow: Grow) -> Self:
        """Do nothing: the scores are fitted already."""
        return self

    def margins(self, features: sp.csr_matrix) -> Floats:
        """Return the margin of each class, shape (papers, classes)."""
        return np.asarray(features[:, : self.classes].toarray(), np.float32)

    def margins_of(self, features: Floats) -> Floats:
        """Return the same for dense features, shape (papers, classes)."""
        return features[:, : self.classes]

    def contributions(
        self, features: Floats, number: int, means: Floats, deviations: Floats
    ) -> Contributions:
        """Return the parts of the margin of a class of one paper: its score alone."""
        return _score_alone(features, number, len(means))


class BoosterHead(Structured, BaseEstimator):  # type: ignore[misc]
    """A head with trees, which are those of a file in XGBoost's own stable form."""

    booster_: Blob

    def keep_trees(self, booster: xgboost.Booster) -> None:
        """Make this the head of fitted trees."""
        self.booster_ = Blob(BOOSTER, booster.save_raw("ubj"))
        self.open_trees(booster.num_features())

    def open_trees(self, width: int) -> None:
        """Compile the trees of the file.

        Args:
            width: the number of features of a paper.

        Raises:
            ShelfmarkError: the trees are damaged, or were not grown on so many features.
        """
        self._width = width
        self._trees = CompiledTrees.of(self._read_trees())
        self._paths: dict[int, LeafPaths] = {}

    @property
    def rounds(self) -> int:
        """The number of rounds of trees."""
        return self._trees.rounds

    def tree_shape(self, width: int) -> tuple[int, int | None]:
        """Return how many columns the trees read, and how many classes they tell apart.

        Args:
            width: the number of features of a paper.
        """
        raise NotImplementedError

    def _read_trees(self) -> Ensemble:
        return read_booster(bytes(self.booster_.content), *self.tree_shape(self._width))

    def _contributions(self, row: Floats, margin: int) -> Doubles:
        """Return what each column of a row adds to a margin, and last what none adds.

        The paths are made once: those of the trees of one margin take a tenth of a second.
        """
        if margin not in self._paths:
            self._paths[margin] = LeafPaths.of(self._read_trees(), margin)
        return self._paths[margin].contributions(row)


class TreeHead(BoosterHead):
    """One tree a class and round; with two classes, one a round.

    Args:
        classes: number of classes.
    """

    STATE: ClassVar[State] = {"classes": CLASS_COUNT, "booster_": checks.instance(Blob)}
    scores = 0  # the trees read any features

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def tree_shape(self, width: int) -> tuple[int, int | None]:
        """Return the number of features, and that of the classes."""
        return width, self.classes

    def fit(self, train: tuple[Any, Ints], validation: tuple[Any, Ints], grow: Grow) -> Self:
        """Grow the trees. Raises `ShelfmarkError` if XGBoost refuses a parameter."""
        several = {
            "objective": "multi:softprob",
            "num_class": self.classes,
            "eval_metric": "mlogloss",
        }
        two = {"objective": "binary:logistic", "eval_metric": "logloss"}
        objective = Objective(two if self.classes == 2 else several)
        self.keep_trees(grow(objective, train, validation))
        return self

    def margins(self, features: sp.csr_matrix) -> Floats:
        """Return the margin of each class, shape (papers, classes)."""
        step = max(1, DENSE // max(features.shape[1], 1))
        if features.shape[0] <= step:
            return self._margins(_with_missing(features))
        parts = range(0, features.shape[0], step)
        return np.concatenate(
            [self._margins(_with_missing(features[begin : begin + step])) for begin in parts]
        )

    def margins_of(self, features: Floats) -> Floats:
        """Return the same for dense features, shape (papers, classes)."""
        return self._margins(_mark_missing(features))

    def _margins(self, rows: Floats) -> Floats:
        given = self._trees.predict(rows)
        if self.classes == 2:  # they share one margin, that of the second class
            return np.concatenate([-given / 2, given / 2], axis=1)
        return given

    def contributions(
        self, features: Floats, number: int, means: Floats, deviations: Floats
    ) -> Contributions:
        """Return the parts of the margin of a class of one paper.

        The slope is TreeSHAP's share of a score over the score's distance from the mean; 0 if the
        score is too near the mean.
        """
        row, count = _mark_missing(features), len(means)
        if self.classes == 2:
            given = self._contributions(row, 0) * (number - 0.5)
        else:
            given = self._contributions(row, number)
        shares = given.astype(np.float32)
        slopes = slopes_of(shares[:count], features[:count], means, deviations)
        return Contributions(float(shares.sum()), slopes, shares[count:-1])


class RerankerHead(BoosterHead):
    """Trees that re-rank the best candidates: a row for each paper and candidate.

    A round grows one tree, not one for each class. The candidates are the classes that the first
    scorer finds most probable. The trees redistribute the sum of their probabilities; the other
    classes keep theirs.

    Args:
        classes: number of classes.
        candidates: how many of them are re-ranked.
        blocks: where the class scores of each scorer begin, the first scorer's first.
        listed: for each class the column of its score as a listed category, or -1.
        groups: for each class a number that related classes share.
    """

    STATE: ClassVar[State] = {
        "classes": CLASS_COUNT,
        "candidates": checks.integer(2, MOST_CANDIDATES),
        "blocks": checks.items(checks.integer(), most=MOST_SCORERS),
        "listed": checks.items(checks.integer(-1)),
        "groups": checks.items(checks.integer()),
        "prior_": checks.array(np.float32, 1),
        "booster_": checks.instance(Blob),
    }

    def __init__(
        self, classes: int, candidates: int, blocks: list[int], listed: list[int], groups: list[int]
    ) -> None:
        self.classes = classes
        self.candidates = candidates
        self.blocks = blocks
        self.listed = listed
        self.groups = groups

    def check_structure(self) -> None:
        """Check that the lists are those of the classes.

        Raises:
            ValueError: they are not.
        """
        for name in ("listed", "groups", "prior_"):
            if len(getattr(self, name)) != self.classes:
                raise ValueError(f"{name} should have an entry for each of {self.classes} classes")
        if self.blocks[:1] != [0]:
            raise ValueError("blocks should name the scores of one scorer or more, the first at 0")
        checks.require_range("groups", self.groups, 0, self.classes - 1)

    def tree_shape(self, width: int) -> tuple[int, int | None]:
        """Return the number of columns that `_features` makes; its loss is a custom one."""
        scores = 2 if max(self.listed) >= 0 else 0
        return 5 + 4 * len(self.blocks) + 2 + scores, None

    @property
    def scores(self) -> int:
        """The number of leading features that are read, which have to be scores."""
        return max(*self.listed, max(self.blocks) + self.classes - 1) + 1

    def fit(self, train: tuple[Any, Ints], validation: tuple[Any, Ints], grow: Grow) -> Self:
        """Grow the trees. Raises `ShelfmarkError` if XGBoost refuses a parameter."""
        counts = np.bincount(train[1], minlength=self.classes)
        self.prior_ = np.log((counts + 1) / (counts.sum() + self.classes)).astype(np.float32)
        # No base score: a constant for all candidates of a paper changes nothing.
        own = {"base_score": 0.0, "disable_default_eval_metric": True}
        count = min(self.candidates, self.classes)
        choice = _Choice(count)
        objective = Objective(own, choice.slope, choice.loss, together=count)
        self.keep_trees(grow(objective, self._rows(*train), self._rows(*validation)))
        return self

    def margins(self, features: sp.csr_matrix) -> Floats:
        """Return the margin of each class, shape (papers, classes)."""
        if features.shape[0] <= BLOCK:
            return self._margins(self._dense(features))
        blocks = range(0, features.shape[0], BLOCK)
        return np.concatenate(
            [self._margins(self._dense(features[begin : begin + BLOCK])) for begin in blocks]
        )

    def margins_of(self, features: Floats) -> Floats:
        """Return the same for dense features, shape (papers, classes)."""
        return self._margins(features[:, : self.scores])

    def _margins(self, scores: Floats) -> Floats:
        first = log_softmax_rows(scores[:, : self.classes])
        candidates = self._best(first)
        rows = self._features(scores, candidates)
        given = self._trees.predict(rows).reshape(candidates.shape)
        own = np.arange(len(first))[:, None], candidates
        first[own] = log_softmax_rows(given) + log_sum_exp_rows(first[own])
        return first

    def contributions(
        self, features: Floats, number: int, means: Floats, deviations: Floats
    ) -> Contributions:
        """Return the parts of the margin of a class of one paper.

        The margin of a candidate is a slope times its score by the first scorer less the mean score
        of all candidates. The slope is that of TreeSHAP, or 1 if the score is near the mean or the
        signs differ. A class that is no candidate has its score as margin.
        """
        scores = features[None, : self.scores]
        candidates = self._best(scores[:, : self.classes])
        place = np.flatnonzero(candidates[0] == number)
        if not len(place):
            return _score_alone(features, number, len(means))
        row = self._features(scores, candidates)[place[0]]
        given = self._contributions(row, 0).astype(np.float32)
        against = np.zeros(len(means), np.float32)
        against[candidates[0]] = -1 / candidates.shape[1]
        against[number] += 1
        among = scores[0, candidates[0]]
        moved, share = scores[0, number] - among.mean(), given[:-1].sum()
        usable = abs(moved) > STILL * among.std() and moved * share > 0
        slope = np.float32(share / moved if usable else 1)
        nothing = np.zeros(len(features) - len(means), np.float32)
        return Contributions(float(given.sum()), slope * against, nothing)

    def _rows(self, features: sp.csr_matrix, targets: Ints) -> tuple[Floats, Ints]:
        """Return a row for each candidate and whether it is right, for papers with a right one."""
        parts = [slice(begin, begin + BLOCK) for begin in range(0, max(len(targets), 1), BLOCK)]
        blocks = [self._rows_of_block(features[part], targets[part]) for part in parts]
        rows, right = zip(*blocks, strict=True)
        return np.concatenate(rows), np.concatenate(right)

    def _rows_of_block(self, features: sp.csr_matrix, targets: Ints) -> tuple[Floats, Ints]:
        scores = self._dense(features)
        candidates = self._best(scores[:, : self.classes])
        right = candidates == targets[:, None]
        useful = right.any(axis=1)
        return self._features(scores[useful], candidates[useful]), right[useful].ravel().astype(int)

    def _dense(self, features: sp.csr_matrix) -> Floats:
        return np.asarray(features[:, : self.scores].toarray(), np.float32)

    def _best(self, scores: Floats) -> Ints:
        """Return the best classes of each paper, best first."""
        count = min(self.candidates, self.classes)
        return np.argsort(-scores, axis=1, kind="stable")[:, :count]

    def _features(self, scores: Floats, candidates: Ints) -> Floats:
        """Return the features of each candidate, shape (papers x candidates, columns)."""
        papers, count = candidates.shape
        own = np.arange(papers)[:, None], candidates
        columns: list[Any] = [np.arange(count)[None, :], candidates, candidates[:, :1],
                              candidates[:, 1:2], self.prior_[candidates]]  # fmt: skip
        for start in self.blocks:
            known = log_softmax_rows(scores[:, start : start + self.classes])
            shares = np.exp(known)
            given = known[own]
            rank = np.argsort(np.argsort(-given, axis=1), axis=1)
            columns += [given, given - given.max(axis=1, keepdims=True), rank,
                        -(shares * known).sum(axis=1, keepdims=True)]  # fmt: skip
            if start == self.blocks[0]:
                first = shares
        columns += self._group_features(first, own)
        listed = self._tables[0]
        if (listed >= 0).any():
            known = np.where(listed >= 0, scores[:, listed], np.float32(np.nan))
            columns += [known[own], known[own] - np.fmax.reduce(known, axis=1, keepdims=True)]
        rows = np.empty((papers, count, len(columns)), np.float32)
        for place, column in enumerate(columns):
            rows[:, :, place] = column
        return rows.reshape(papers * count, len(columns))

    def _group_features(self, shares: Floats, own: tuple[Ints, Ints]) -> list[Floats]:
        """Return how probable each candidate's group is, and the candidate within it."""
        _, groups, members = self._tables
        group = multiply_alike(shares, members)[own[0], groups[own[1]]]
        return [group, shares[own] / (group + 1e-9)]

    @cached_property
    def _tables(self) -> tuple[Ints, Ints, Floats]:
        """The column of each class as a listed category, its group, and 1 where it is of a group.

        The shapes are (classes,), (classes,) and (classes, groups).
        """
        groups = np.array(self.groups)
        members = groups[:, None] == np.arange(groups.max() + 1)
        return np.array(self.listed), groups, members.astype(np.float32)


def slopes_of(shares: Floats, scores: Floats, means: Floats, deviations: Floats) -> Floats:
    """Return the slope of a margin in each score, float32 of the shape of all arguments.

    Args:
        shares: what each score adds to the margin.
        scores: of one paper.
        means: of the scores over the training papers.
        deviations: their standard deviations; a score that is too near its mean has slope 0.
    """
    moved = scores - means
    still = np.abs(moved) <= STILL * deviations
    slopes = np.where(still, 0, shares / np.where(still, 1, moved))
    return np.asarray(slopes, np.float32)


def _with_missing(features: sp.csr_matrix) -> Floats:
    """Return features as float32 of the same shape, NaN for those that are not stored."""
    rows = np.full(features.shape, np.nan, np.float32)
    rows[np.repeat(np.arange(len(rows)), np.diff(features.indptr)), features.indices] = (
        features.data
    )
    return rows


def _mark_missing(features: Floats) -> Floats:
    """Return dense features with NaN where none is stored, of the same shape."""
    return np.where(features == 0, np.float32(np.nan), features)


def _score_alone(features: Floats, number: int, scores: int) -> Contributions:
    slopes = np.zeros(scores, np.float32)
    slopes[number] = 1
    nothing = np.zeros(len(features) - scores, np.float32)
    return Contributions(float(features[number]), slopes, nothing)


@dataclass(frozen=True)
class _Choice:
    """The log loss of a choice among the candidates of each paper: the conditional logit.

    Source: McFadden 1974, Conditional logit analysis of qualitative choice behavior.
    """

    candidates: int

    def slope(self, margins: Any, data: xgboost.DMatrix) -> tuple[Any, Any]:
        """Return the gradient, and the diagonal of the hessian, for each candidate."""
        share = softmax(margins.reshape(-1, self.candidates), axis=1).ravel()
        return share - data.get_label(), np.maximum(share * (1 - share), 1e-6)

    def loss(self, margins: Any, data: xgboost.DMatrix) -> tuple[str, float]:
        """Return the mean log loss of a paper."""
        known = log_softmax(margins.reshape(-1, self.candidates), axis=1).ravel()
        return "logloss", -float(known @ data.get_label()) * self.candidates / len(known)
