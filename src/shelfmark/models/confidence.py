"""When an answer may be acted on: thresholds chosen on validation, precision against coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shelfmark.core.arrays import Floats, Indicator, Ints
from shelfmark.models.card import Thresholds

MOST_LISTS = 2  # cross-lists a paper: more are rarely appropriate (arXiv's help)
POINTS = 20  # of the curve
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
    """

    classes: tuple[str, ...]
    probabilities: Floats
    targets: Ints
    listed: tuple[str, ...]
    lists: Floats
    membership: Indicator
    named: Ints
    among: np.ndarray[Any, np.dtype[np.bool_]]

    @property
    def given(self) -> list[str]:
        """The most probable class of each paper."""
        return [self.classes[number] for number in self.probabilities.argmax(axis=1)]

    @property
    def others(self) -> Ints:
        """How many categories each paper names beside the class it was given."""
        return self.named - self.among


def choose_thresholds(answers: Answers, min_precision: float) -> Thresholds:
    """Choose on validation when an answer is confident and a cross-list is suggested.

    Args:
        answers: to the papers of validation.
        min_precision: share of the confident answers that is to be right.
    """
    limits = thresholds(answers.targets, answers.probabilities, min_precision)
    threshold = None
    if answers.listed:
        threshold = list_threshold(answers.lists, answers.membership, answers.others)
    return Thresholds(min_precision, dict(zip(answers.classes, limits, strict=True)), threshold)


def thresholds(targets: Ints, probabilities: Floats, min_precision: float) -> list[float | None]:
    """Return for each class the lowest confidence from which its answers are precise enough.

    Among papers given the class, the longest run of the most confident ones is taken whose
    precision is at least `min_precision`. It is estimated as (right + 1) / (papers + 2), so that a
    few lucky papers do not make a class trustworthy (the rule of succession).

    Args:
        targets: the true class of each paper, -1 for one that is no class.
        probabilities: shape (papers, classes).
        min_precision: share of the confident answers that is to be right.

    Returns:
        One threshold a class, None where no confidence is enough.
    """
    best, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    result: list[float | None] = []
    for number in range(probabilities.shape[1]):
        given = np.flatnonzero(best == number)
        given = given[np.argsort(-confidence[given], kind="stable")]
        right = np.cumsum(targets[given] == number)
        precise = (right + 1) / (np.arange(len(given)) + 3) >= min_precision
        # Papers of equal confidence stand or fall together.
        last = np.append(confidence[given][1:] < confidence[given][:-1], True)[: len(given)]
        ends = np.flatnonzero(precise & last)
        result.append(float(confidence[given][ends[-1]]) if len(ends) else None)
    return result


def confident(probabilities: Floats, limits: list[float | None]) -> np.ndarray[Any, Any]:
    """Return whether each paper's most probable class is probable enough to act on."""
    needed = np.array([2.0 if limit is None else limit for limit in limits])
    return np.asarray(probabilities.max(axis=1) >= needed[probabilities.argmax(axis=1)])


def coverage(targets: Ints, probabilities: Floats) -> list[dict[str, float]]:
    """Return the precision of the most confident papers, for shares of them from 5 % to all."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    right = np.cumsum((probabilities.argmax(axis=1) == targets)[order])
    counts = [max(1, round(len(order) * (step + 1) / POINTS)) for step in range(POINTS)]
    return [
        {"coverage": count / len(order), "precision": float(right[count - 1] / count)}
        for count in counts
    ]


def select_cross_lists(lists: Floats, threshold: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which listed categories are suggested: a paper's two best, if probable enough.

    Both matrices have the shape (papers, listed categories).
    """
    suggested = np.zeros(lists.shape, np.bool_)
    np.put_along_axis(suggested, _best_lists(lists), True, axis=1)
    return suggested & (lists >= threshold)


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


def list_threshold(lists: Floats, membership: Indicator, others: Ints) -> float:
    """Return the threshold with the best F1 of suggestions, of 0.05, 0.06 … 0.95."""
    suggestions = _Suggestions.of(lists, membership, others)

    def f1(threshold: float) -> float:
        figures = suggestions.figures(threshold)
        precision, recall = figures["precision"], figures["recall"]
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    return max((round(0.01 * step, 2) for step in range(5, 96)), key=f1)
