"""The answers of a model beside the truth: precision against coverage, suggested cross-lists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shelfmark.core.arrays import Floats, Indicator, Ints
from shelfmark.models.scope.detector import Evidence

MOST_LISTS = 2  # cross-lists a paper: more are rarely appropriate (arXiv's help)
POINTS = 20  # of the curve
TENTHS = 10
BLOCK = 1 << 14  # papers that are sorted at a time


@dataclass(frozen=True)
class Answers:
    """The answers of a model to labelled papers, beside the truth.

    Args:
        classes: the labels, in the order of the columns.
        probabilities: shape (papers, classes).
        targets: the true class of each paper, -1 for a label that is no class.
        listed: the categories that may be suggested as cross-lists.
        lists: their probabilities, shape (papers, listed), 0 for the class given.
        membership: which of them each paper names, same shape.
        named: how many categories each paper names, by their labels.
        among: whether the class given is one of them.
        short: whether the text has fewer words than an abstract.
        evidence: what speaks for each text being a paper of the model; None of an older model.
    """

    classes: tuple[str, ...]
    probabilities: Floats
    targets: Ints
    listed: tuple[str, ...]
    lists: Floats
    membership: Indicator
    named: Ints
    among: np.ndarray[Any, np.dtype[np.bool_]]
    short: np.ndarray[Any, np.dtype[np.bool_]]
    evidence: Evidence | None

    @cached_property
    def best(self) -> Ints:
        """The number of the most probable class of each paper, shape (papers,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def confidence(self) -> Floats:
        """The probability of that class, shape (papers,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def right(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether it is the true class of each paper, shape (papers,)."""
        return np.asarray(self.best == self.targets)

    @property
    def given(self) -> list[str]:
        """The most probable class of each paper."""
        return [self.classes[number] for number in self.best]

    @property
    def others(self) -> Ints:
        """How many categories each paper names beside the class it was given."""
        return self.named - self.among


def coverage(scores: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> list[dict[str, float]]:
    """Return the precision of the answers of the highest scores, for 5 % of them to all.

    Args:
        scores: of each answer, higher for a better one.
        right: which answers are right.
    """
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(right[order])
    counts = [max(1, round(len(order) * (step + 1) / POINTS)) for step in range(POINTS)]
    return [
        {"coverage": count / len(order), "precision": float(right[count - 1] / count)}
        for count in counts
    ]


def select_cross_lists(lists: Floats, threshold: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which listed categories are suggested: a paper's two best, if probable enough.

    Both matrices have the shape (papers, listed categories).
    """
    probable = lists >= threshold
    if probable.sum(axis=1).max(initial=0) <= MOST_LISTS:
        return probable
    suggested = np.zeros(lists.shape, np.bool_)
    np.put_along_axis(suggested, _best_lists(lists), True, axis=1)
    return suggested & probable


def _best_lists(lists: Floats) -> Ints:
    """Return the places of the best listed categories of each paper, `MOST_LISTS` at most."""
    if lists.shape[1] <= MOST_LISTS:
        return np.broadcast_to(np.arange(lists.shape[1]), lists.shape)
    # By place, not by value, or equals of the second would be suggested too.
    blocks = [np.argpartition(-lists[begin : begin + BLOCK], MOST_LISTS, axis=1)[:, :MOST_LISTS]
              for begin in range(0, len(lists), BLOCK)]  # fmt: skip
    return np.concatenate([np.zeros((0, MOST_LISTS), np.intp), *blocks])


@dataclass(frozen=True)
class _Suggestions:
    """The categories that may be suggested: their probabilities, and which are right."""

    probabilities: Floats
    right: np.ndarray[Any, np.dtype[np.bool_]]
    others: int

    @classmethod
    def of(cls, lists: Floats, membership: Indicator, others: Ints) -> _Suggestions:
        places = _best_lists(lists)
        right = np.take_along_axis(membership, places, axis=1) > 0
        return cls(np.take_along_axis(lists, places, axis=1), right, int(others.sum()))

    def figures(self, threshold: float) -> dict[str, float]:
        """Return precision and recall of those that are probable enough."""
        given = self.probabilities >= threshold
        right = int((given & self.right).sum())
        return {
            "precision": right / max(int(given.sum()), 1),
            "recall": right / max(self.others, 1),
        }


def list_figures(
    lists: Floats, membership: Indicator, others: Ints, threshold: float
) -> dict[str, float]:
    """Return precision and recall of the suggestions over all papers.

    Args:
        lists: probability of each listed category, shape (papers, listed).
        membership: which of them each paper names.
        others: how many categories each paper names beside the one it was given.
        threshold: least probability of a suggestion.
    """
    return _Suggestions.of(lists, membership, others).figures(threshold)


def suggestion_bins(
    lists: Floats, membership: Indicator, threshold: float
) -> list[dict[str, float]]:
    """Return how often the suggestions of each tenth of probability came true.

    Args:
        lists: probability of each listed category, shape (papers, listed).
        membership: which of them each paper names.
        threshold: least probability of a suggestion.
    """
    chosen = select_cross_lists(lists, threshold)
    given, came_true = lists[chosen], membership[chosen]
    tenth = np.minimum((given * TENTHS).astype(np.int64), TENTHS - 1)
    return [
        {
            "promised": float(given[tenth == number].mean()),
            "kept": float(came_true[tenth == number].mean()),
            "suggestions": int((tenth == number).sum()),
        }
        for number in np.unique(tenth)
    ]


def list_threshold(lists: Floats, membership: Indicator, others: Ints) -> float:
    """Return the threshold with the best F1 of suggestions, of 0.05, 0.06 … 0.95."""
    suggestions = _Suggestions.of(lists, membership, others)

    def f1(threshold: float) -> float:
        figures = suggestions.figures(threshold)
        precision, recall = figures["precision"], figures["recall"]
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    return max((round(0.01 * step, 2) for step in range(5, 96)), key=f1)
