"""The last step: calibrated probabilities, and cross-lists from scores and habits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit, softmax

from shelfmark.models.boosted import decision
from shelfmark.models.boosted.decision import CalibratedClassifier, CrossLists, temperature_of
from shelfmark.models.boosted.heads import LinearHead

CLASSES = 3
LISTED = ("cs.AI", "cs.CL", "stat.ML")
OWN = [0, 1, -1]  # the last class is not listed, the last listed category is no class


def drawn(logits: Any, seed: int = 0) -> Any:
    """Return classes drawn with the probabilities of logits."""
    rng = np.random.default_rng(seed)
    return (softmax(logits, axis=1).cumsum(axis=1) < rng.uniform(size=(len(logits), 1))).sum(1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_of_margins_that_are_too_sure_or_too_shy_is_found(
    temperature: float,
) -> None:
    logits = np.random.default_rng(1).normal(scale=2, size=(20_000, 4))
    margins = (logits * temperature).astype(np.float32)
    assert temperature_of(margins, drawn(logits)) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_found_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(2).normal(scale=2, size=(1000, 4))
    margins, targets = logits.astype(np.float32), drawn(logits)
    whole = temperature_of(margins, targets)
    monkeypatch.setattr(decision, "BLOCK", 37)
    assert temperature_of(margins, targets) == whole


def test_margins_that_are_always_right_or_always_wrong_stay_within_bounds() -> None:
    margins = np.eye(3, dtype=np.float32)
    assert 0.04 < temperature_of(margins, np.arange(3)) < 0.06
    assert 19 < temperature_of(margins, np.array([1, 2, 0])) < 21


MARGINS = arrays.arrays(np.float32, (4, CLASSES), elements=st.floats(-30, 30, width=32))


@settings(deadline=None)
@given(MARGINS, st.floats(0.05, 20))
def test_the_temperature_never_changes_what_is_most_probable(
    margins: Any, temperature: float
) -> None:
    calibrated = CalibratedClassifier(LinearHead(CLASSES), temperature)
    probabilities = calibrated.predict_proba(sp.csr_matrix(margins))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    leaders = np.take_along_axis(probabilities, margins.argmax(axis=1)[:, None], axis=1)[:, 0]
    np.testing.assert_array_equal(leaders, probabilities.max(axis=1))


def filed(papers: int = 3000) -> tuple[sp.csr_matrix, Any, Any]:
    """Return scores of classes and listed categories, classes, and what papers name.

    A category is named the sooner the higher its score; papers of class 2 love the first.
    """
    rng = np.random.default_rng(5)
    best = np.arange(papers) % CLASSES
    scores = rng.normal(size=(papers, CLASSES + len(LISTED))).astype(np.float32)
    likely = expit(2 * scores[:, CLASSES:] - 2 + 4 * ((best == 2)[:, None] & [True, False, False]))
    names = (rng.uniform(size=likely.shape) < likely).astype(np.uint8)
    for number, place in enumerate(OWN[:2]):
        names[best == number, place] = 1
    return sp.csr_matrix(scores), best, names


def learnt() -> CrossLists:
    scores, best, names = filed()
    lists = CrossLists(CLASSES, LISTED, OWN).learn_habits(best, names)
    return lists.fit(scores, best, names)


def asked(lists: CrossLists, best: int, *scores: float) -> Any:
    row = sp.csr_matrix(np.array([[0.0] * CLASSES + list(scores)], np.float32))
    return lists.probabilities(row, np.array([best]))[0]


def test_a_class_is_never_suggested_to_itself() -> None:
    lists = learnt()
    assert asked(lists, 0, 9, 9, 9).tolist()[0] == 0
    assert asked(lists, 1, 9, 9, 9).tolist()[1] == 0
    assert (asked(lists, 2, 9, 9, 9) > 0.5).all()
    assert lists.may_suggest(np.array([0, 1, 2])).tolist() == [
        [False, True, True], [True, False, True], [True, True, True],
    ]  # fmt: skip


def test_of_many_papers_the_cross_lists_read_some_at_equal_distances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores, best, names = filed()
    lists = CrossLists(CLASSES, LISTED, OWN).learn_habits(best, names)
    some = slice(None, None, 4)
    few = CrossLists(CLASSES, LISTED, OWN).learn_habits(best, names)
    few.fit(scores[some], best[some], names[some])
    whole = learnt()
    monkeypatch.setattr(decision, "MOST_FITTED", 800)
    lists.fit(scores, best, names)
    np.testing.assert_array_equal(lists.weights_, few.weights_)
    assert lists.intercept_ == few.intercept_ != whole.intercept_


def test_a_probability_rises_with_the_score() -> None:
    lists = learnt()
    rising = np.array([asked(lists, 2, score, score, score) for score in np.linspace(-3, 3, 13)])
    assert (np.diff(rising, axis=0) > 0).all()


def test_habits_are_the_log_odds_of_what_papers_of_a_class_are_listed_under() -> None:
    lists = CrossLists(CLASSES, LISTED, OWN)
    names = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 1]], np.uint8)
    lists.learn_habits(np.array([0, 0, 0, 0, 1]), names)
    assert lists.habits_[0, 1] == pytest.approx(np.log(0.25 / 0.75), abs=0.01)
    assert lists.habits_[0, 0] == -lists.habits_[0, 2] == -lists.habits_[1, 0] > 5
    assert lists.habits_[2, 0] == lists.habits_[0, 2], "no paper, no habit"


def test_of_equal_scores_the_habit_of_the_class_decides() -> None:
    loved, other, another = asked(learnt(), 2, 0, 0, 0)
    assert loved > other + 0.3
    assert other == pytest.approx(another, abs=0.1)


def test_probabilities_are_shares_of_papers() -> None:
    scores, best, names = filed()
    lists = learnt()
    given = lists.probabilities(scores, best)
    open_to = lists.may_suggest(best)
    for low in np.arange(0, 1, 0.2):
        among = open_to & (given >= low) & (given < low + 0.2)
        assert given[among].mean() == pytest.approx(names[among].mean(), abs=0.05)
