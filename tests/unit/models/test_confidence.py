"""Coverage and suggestions, against values computed by hand and by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shelfmark.models import confidence
from shelfmark.models.confidence import Answers

CLASSES = 3
# Few values, so that ties are many.
STEPS = st.integers(0, 6)


@st.composite
def answered(draw: st.DrawFn) -> tuple[Any, Any]:
    """Return true classes, some of them unknown, and probabilities of papers."""
    papers = draw(st.integers(1, 30))
    raw = draw(arrays.arrays(np.int64, (papers, CLASSES), elements=STEPS)) + 1
    targets = draw(arrays.arrays(np.int64, papers, elements=st.integers(-1, CLASSES - 1)))
    return targets, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


@st.composite
def suggestible(draw: st.DrawFn) -> tuple[Any, Any]:
    """Return probabilities of listed categories, and which of them papers name."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 6)))
    lists = draw(arrays.arrays(np.int64, shape, elements=STEPS)) / np.float32(6)
    return lists.astype(np.float32), draw(
        arrays.arrays(np.uint8, shape, elements=st.integers(0, 1))
    )


def test_coverage_of_a_small_case() -> None:
    scores, right = np.array([0.6, 0.9, 0.8, 0.7], np.float32), np.array([0, 1, 0, 1], bool)
    # By score: the second paper is right, the third wrong, the fourth right, the first wrong.
    curve = confidence.coverage(scores, right)
    shares = {point["coverage"]: point["precision"] for point in curve}
    assert shares == {0.25: 1.0, 0.5: 0.5, 0.75: pytest.approx(2 / 3), 1.0: 0.5}
    assert len(curve) == 20


def test_of_equal_scores_the_first_answers_are_covered_first() -> None:
    right = np.array([1, 1, 0, 0], bool)
    assert confidence.coverage(np.zeros(4, np.float32), right)[9]["precision"] == 1


@settings(max_examples=50, deadline=None)
@given(answered())
def test_coverage_is_the_precision_of_so_many_best_answers(answers: tuple[Any, Any]) -> None:
    targets, probabilities = answers
    right, scores = probabilities.argmax(axis=1) == targets, probabilities.max(axis=1)
    curve = confidence.coverage(scores, right)
    ranked = sorted(range(len(scores)), key=lambda number: -scores[number])
    for point in curve:
        taken = ranked[: round(point["coverage"] * len(ranked))]
        assert point["precision"] == pytest.approx(right[taken].mean())
    assert curve[-1]["coverage"] == 1


@settings(max_examples=50, deadline=None)
@given(suggestible(), st.sampled_from([0.05, 0.5, 0.9]))
def test_the_best_two_of_a_paper_are_suggested_if_probable_enough(
    papers: tuple[Any, Any], threshold: float
) -> None:
    lists, _ = papers
    for row, chosen in zip(lists, confidence.select_cross_lists(lists, threshold), strict=True):
        assert sorted(row[chosen]) == [x for x in sorted(row)[-2:] if x >= threshold]


def test_figures_of_suggestions_of_a_small_case() -> None:
    lists = np.array([[0.9, 0.5, 0.4], [0.2, 0.6, 0.1], [0.1, 0.1, 0.1]], np.float32)
    membership = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0]], np.uint8)
    # Suggested: two to the first paper, one of them right; one to the second, and it is right. The
    # second has one more category that is never suggested.
    figures = confidence.list_figures(lists, membership, np.array([2, 2, 1]), 0.3)
    assert figures == {"precision": pytest.approx(2 / 3), "recall": pytest.approx(2 / 5)}


def test_nothing_suggested_is_no_division_by_zero() -> None:
    lists, none = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.uint8)
    figures = confidence.list_figures(lists, none, np.zeros(2, int), 0.5)
    assert figures == {"precision": 0, "recall": 0}


@settings(max_examples=50, deadline=None)
@given(suggestible())
def test_the_threshold_of_suggestions_has_the_best_f1(papers: tuple[Any, Any]) -> None:
    lists, membership = papers
    named = int(membership.sum())

    def f1(threshold: float) -> float:
        chosen = confidence.select_cross_lists(lists, threshold)
        right = int((chosen & (membership == 1)).sum())
        return 2 * right / max(int(chosen.sum()) + named, 1)

    threshold = confidence.list_threshold(lists, membership, membership.sum(axis=1))
    grid = [round(step / 100, 2) for step in range(5, 96)]
    assert threshold in grid
    assert f1(threshold) == pytest.approx(max(map(f1, grid)))


def small(listed: tuple[str, ...]) -> Answers:
    """Return answers to three papers, the last of a label that is no class."""
    return Answers(
        classes=("cs.AI", "cs.CL"),
        probabilities=np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], np.float32),
        targets=np.array([0, 0, -1]),
        listed=listed,
        lists=np.array([[0.6], [0.0], [0.1]], np.float32)[:, : len(listed)],
        membership=np.array([[1], [0], [0]], np.uint8)[:, : len(listed)],
        named=np.array([2, 1, 2]),
        among=np.array([True, True, False]),
        short=np.zeros(3, np.bool_),
        evidence=None,
    )


def test_the_categories_beside_the_class_given_are_counted() -> None:
    answers = small(("math.PR",))
    assert answers.given == ["cs.AI", "cs.AI", "cs.CL"]
    assert answers.others.tolist() == [1, 0, 2]


def test_an_answer_is_the_most_probable_class_which_may_be_right() -> None:
    answers = small(())
    assert answers.best.tolist() == [0, 0, 1]
    assert answers.confidence.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert answers.right.tolist() == [True, True, False], "a label that is no class is never right"
