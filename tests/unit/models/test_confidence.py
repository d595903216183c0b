"""The thresholds of confidence, against values computed by hand and by brute force."""

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
    papers = draw(st.integers(0, 30))
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


@settings(max_examples=50, deadline=None)
@given(answered(), st.sampled_from([0.3, 0.5, 0.6, 0.75]))
def test_a_threshold_is_the_least_confidence_from_which_answers_are_precise_enough(
    answers: tuple[Any, Any], min_precision: float
) -> None:
    targets, probabilities = answers
    sure, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
    wanted = []
    for number in range(CLASSES):
        enough = []
        for least in np.unique(sure[best == number]):
            taken = (best == number) & (sure >= least)
            if ((targets[taken] == number).sum() + 1) / (taken.sum() + 2) >= min_precision:
                enough.append(float(least))
        wanted.append(min(enough, default=None))
    assert confidence.thresholds(targets, probabilities, min_precision) == wanted


@settings(max_examples=50, deadline=None)
@given(answered(), st.sampled_from([0.3, 0.6]))
def test_the_answers_it_is_confident_of_are_as_precise_as_asked(
    answers: tuple[Any, Any], min_precision: float
) -> None:
    targets, probabilities = answers
    limits = confidence.thresholds(targets, probabilities, min_precision)
    sure, best = confidence.confident(probabilities, limits), probabilities.argmax(axis=1)
    for number, limit in enumerate(limits):
        taken = sure & (best == number)
        assert taken.any() == (limit is not None)
        if limit is not None:
            right = (targets[taken] == number).sum()
            assert (right + 1) / (taken.sum() + 2) >= min_precision


@pytest.mark.parametrize(("papers", "trusted"), [(17, False), (18, True)])
def test_a_few_lucky_papers_do_not_make_a_class_trustworthy(papers: int, trusted: bool) -> None:
    probabilities = np.tile(np.array([0.9, 0.1], np.float32), (papers, 1))
    limits = confidence.thresholds(np.zeros(papers, int), probabilities, 0.95)
    assert limits == [pytest.approx(0.9) if trusted else None, None]
    assert confidence.confident(probabilities, limits).all() == trusted


def test_coverage_of_a_small_case() -> None:
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32)
    # By confidence: the second paper is right, the third wrong, the fourth right, the first wrong.
    curve = confidence.coverage(np.array([-1, 1, 1, 1]), probabilities)
    shares = {point["coverage"]: point["precision"] for point in curve}
    assert shares == {0.25: 1.0, 0.5: 0.5, 0.75: pytest.approx(2 / 3), 1.0: 0.5}
    assert len(curve) == 20


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
    )


def test_the_categories_beside_the_class_given_are_counted() -> None:
    answers = small(("math.PR",))
    assert answers.given == ["cs.AI", "cs.AI", "cs.CL"]
    assert answers.others.tolist() == [1, 0, 2]


def test_the_thresholds_name_the_trusted_classes_and_their_least_confidence() -> None:
    chosen = confidence.choose_thresholds(small(("math.PR",)), 0.75)
    assert chosen.min_precision == 0.75
    assert chosen.confident_from == {"cs.AI": pytest.approx(0.8), "cs.CL": None}
    assert chosen.cross_lists_from == 0.11  # from there on the one suggestion is right
    assert confidence.choose_thresholds(small(()), 0.75).cross_lists_from is None
