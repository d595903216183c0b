"""From features to a margin for each class: trees, re-ranked candidates, or the scores.

A classifier is fitted on features of which the first columns are the scores of the stack, one block
after the other. `margins` gives one number a paper and class, the softmax of which are
probabilities; `contributions` explains the margin of one class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import scipy.sparse as sp
import xgboost
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.base import BaseEstimator

from shelfmark.config.schema import MOST_CANDIDATES
from shelfmark.core import checks
from shelfmark.core.arrays import Floats, Ints
from shelfmark.core.checks import State
from shelfmark.core.structure import Blob, Structured
from shelfmark.models.boosted.booster_file.opening import open_booster
from shelfmark.models.boosted.boosting import Objective, Rows
from shelfmark.models.boosted.scorers import CLASS_COUNT

# Grows trees for an objective on rows to train on, until validation stops improving.
Grow = Callable[[Objective, Rows, Rows], xgboost.Booster]

BOOSTER = "booster.ubj"
MOST_SCORERS = 3  # of a stack
BLOCK = 1 << 14  # papers whose candidates are ranked at a time
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
    booster_: xgboost.Booster | None  # None without trees

    @property
    def scores(self) -> int:
        """The number of leading features that have to be scores."""

    def fit(self, train: tuple[Any, Ints], validation: tuple[Any, Ints], grow: Grow) -> Self:
        """Fit on train; validation, without unknown classes, stops the trees."""

    def margins(self, features: sp.csr_matrix) -> Floats:
        """Return the margin of each class, shape (papers, classes)."""

    def contributions(
        self, features: sp.csr_matrix, number: int, means: Floats, deviations: Floats
    ) -> Contributions:
        """Return the parts of the margin of a class of one paper.

        The first features are scores, whose means and standard deviations over the training papers
        are given.
        """


class LinearHead(Structured, BaseEstimator):  # type: ignore[misc]
    """The scores of the first scorer, unchanged.

    Args:
        classes: number of classes.
    """

    STATE: ClassVar[State] = {"classes": CLASS_COUNT}
    booster_ = None

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

    def contributions(
        self, features: sp.csr_matrix, number: int, means: Floats, deviations: Floats
    ) -> Contributions:
        """Return the parts of the margin of a class of one paper: its score alone."""
        return _score_alone(features, number, len(means))


class BoosterHead(Structured, BaseEstimator):  # type: ignore[misc]
    """A head with trees, which are saved in XGBoost's own stable form."""

    booster_: xgboost.Booster

    def structure_state(self) -> dict[str, Any]:
        """Return the state that is saved."""
        trees = Blob(BOOSTER, self.booster_.save_raw("ubj"))
        return {**super().structure_state(), "booster_": trees}

    def open_trees(self, width: int) -> None:
        """Open the trees of a head that was read from a file, where they are bytes still.

        Args:
            width: the number of features of a paper.

        Raises:
            ShelfmarkError: the trees are damaged, or were not grown on so many features.
        """
        if isinstance(self.booster_, Blob):
            content = bytes(self.booster_.content)
            self.booster_ = open_booster(content, *self.tree_shape(width), threads=1)

    def tree_shape(self, width: int) -> tuple[int, int | None]:
        """Return how many columns the trees read, and how many classes they tell apart.

        Args:
            width: the number of features of a paper.
        """
        raise NotImplementedError


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
        self.booster_ = grow(objective, train, validation)
        return self

    def margins(self, features: sp.csr_matrix) -> Floats:
        """Return the margin of each class, shape (papers, classes)."""
        given = self.booster_.inplace_predict(features, predict_type="margin")
        if self.classes == 2:  # they share one margin, that of the second class
            given = np.stack([-given / 2, given / 2], axis=1)
        return np.asarray(given, np.float32)

    def contributions(
        self, features: sp.csr_matrix, number: int, means: Floats, deviations: Floats
    ) -> Contributions:
        """Return the parts of the margin of a class of one paper.

        The slope is TreeSHAP's share of a score over the score's distance from the mean; 0 if the
        score is too near the mean.
        """
        given = self.booster_.predict(xgboost.DMatrix(features), pred_contribs=True)[0]
        if self.classes == 2:
            given = np.stack([-given / 2, given / 2])
        shares, count = given[number], len(means)
        moved = features[0, :count].toarray()[0] - means
        still = np.abs(moved) <= STILL * deviations
        slopes = np.where(still, 0, shares[:count] / np.where(still, 1, moved))
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
        if not self.blocks:
            raise ValueError("blocks should name the scores of one scorer or more")
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
        self.booster_ = grow(objective, self._rows(*train), self._rows(*validation))
        return self

    def margins(self, features: sp.csr_matrix) -> Floats:
        """Return the margin of each class, shape (papers, classes)."""
        if features.shape[0] <= BLOCK:
            return self._margins(features)
        blocks = range(0, features.shape[0], BLOCK)
        return np.concatenate([self._margins(features[begin : begin + BLOCK]) for begin in blocks])

    def _margins(self, features: sp.csr_matrix) -> Floats:
        scores = self._dense(features)
        first = log_softmax(scores[:, : self.classes], axis=1)
        candidates = self._best(first)
        rows = self._features(scores, candidates)
        given = self.booster_.inplace_predict(rows, predict_type="margin").reshape(candidates.shape)
        mass = logsumexp(np.take_along_axis(first, candidates, 1), axis=1, keepdims=True)
        np.put_along_axis(first, candidates, log_softmax(given, axis=1) + mass, 1)
        return np.asarray(first, np.float32)

    def contributions(
        self, features: sp.csr_matrix, number: int, means: Floats, deviations: Floats
    ) -> Contributions:
        """Return the parts of the margin of a class of one paper.

        The margin of a candidate is a slope times its score by the first scorer less the mean score
        of all candidates. The slope is that of TreeSHAP, or 1 if the score is near the mean or the
        signs differ. A class that is no candidate has its score as margin.
        """
        scores = self._dense(features)
        candidates = self._best(scores[:, : self.classes])
        place = np.flatnonzero(candidates[0] == number)
        if not len(place):
            return _score_alone(features, number, len(means))
        row = self._features(scores, candidates)[place]
        given = self.booster_.predict(xgboost.DMatrix(row), pred_contribs=True)[0]
        against = np.zeros(len(means), np.float32)
        against[candidates[0]] = -1 / candidates.shape[1]
        against[number] += 1
        among = scores[0, candidates[0]]
        moved, share = scores[0, number] - among.mean(), given[:-1].sum()
        usable = abs(moved) > STILL * among.std() and moved * share > 0
        slope = np.float32(share / moved if usable else 1)
        nothing = np.zeros(features.shape[1] - len(means), np.float32)
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
        columns: list[Any] = [np.arange(count)[None, :], candidates, candidates[:, :1],
                              candidates[:, 1:2], self.prior_[candidates]]  # fmt: skip
        for start in self.blocks:
            known = log_softmax(scores[:, start : start + self.classes], axis=1)
            own = np.take_along_axis(known, candidates, 1)
            rank = np.argsort(np.argsort(-own, axis=1), axis=1)
            columns += [own, own - own.max(axis=1, keepdims=True), rank,
                        -(np.exp(known) * known).sum(axis=1, keepdims=True)]  # fmt: skip
        columns += self._group_features(scores, candidates)
        listed = np.array(self.listed)
        if (listed >= 0).any():
            given = np.where(listed >= 0, scores[:, listed], np.nan)
            own = np.take_along_axis(given, candidates, 1)
            columns += [own, own - np.nanmax(given, axis=1, keepdims=True)]
        wide = [np.broadcast_to(column, candidates.shape) for column in columns]
        return np.stack(wide, axis=2).reshape(papers * count, len(wide)).astype(np.float32)

    def _group_features(self, scores: Floats, candidates: Ints) -> list[Floats]:
        """Return how probable each candidate's group is, and the candidate within it."""
        known = np.exp(log_softmax(scores[:, : self.classes], axis=1))
        groups = np.array(self.groups)
        together = known @ (groups[:, None] == np.arange(groups.max() + 1)).astype(np.float32)
        group = np.take_along_axis(together, groups[candidates], 1)
        return [group, np.take_along_axis(known, candidates, 1) / (group + 1e-9)]


def _score_alone(features: sp.csr_matrix, number: int, scores: int) -> Contributions:
    slopes = np.zeros(scores, np.float32)
    slopes[number] = 1
    nothing = np.zeros(features.shape[1] - scores, np.float32)
    return Contributions(float(features[0, number]), slopes, nothing)


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
