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

from shelfmark.core import structure
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.decision import CalibratedClassifier
from shelfmark.models.boosted.heads import LinearHead
from shelfmark.models.calibration import cross_lists, temperature
from shelfmark.models.calibration.cross_lists import CrossLists
from shelfmark.models.calibration.temperature import temperature_of
from tests.support.structures import dump

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
    monkeypatch.setattr(temperature, "BLOCK", 37)
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


def filed(papers: int = 3000) -> tuple[sp.csr_matrix, Any, Any, Any]:
    """Return scores of classes and listed categories, classes, their probabilities, and names.

    A category is named the sooner the higher its score; papers of class 2 love the first. Each
    paper names its own class, which is nearly always the most probable.
    """
    rng = np.random.default_rng(5)
    own = np.arange(papers) % CLASSES
    scores = rng.normal(size=(papers, CLASSES + len(LISTED))).astype(np.float32)
    likely = expit(2 * scores[:, CLASSES:] - 2 + 4 * ((own == 2)[:, None] & [True, False, False]))
    names = (rng.uniform(size=likely.shape) < likely).astype(np.uint8)
    for number, place in enumerate(OWN[:2]):
        names[own == number, place] = 1
    margins = rng.normal(size=(papers, CLASSES)) + 5 * np.eye(CLASSES)[own]
    probabilities = softmax(margins, axis=1).astype(np.float32)
    return sp.csr_matrix(scores), own, probabilities, names


def learnt(lists: CrossLists | None = None, some: slice = slice(None)) -> CrossLists:
    scores, own, probabilities, names = filed()
    lists = lists or CrossLists(CLASSES, LISTED, OWN)
    lists.learn_habits(own, names)
    return lists.fit(lists.scores_in(scores[some]), probabilities[some], names[some])


def sure_of(best: int, confidence: float = 0.9) -> Any:
    """Return probabilities of one paper, of which one class has most, the others equally much."""
    probabilities = np.full((1, CLASSES), (1 - confidence) / (CLASSES - 1), np.float32)
    probabilities[0, best] = confidence
    return probabilities


def asked(lists: CrossLists, best: int, *scores: float, confidence: float = 0.9) -> Any:
    return lists.probabilities(np.array([scores], np.float32), sure_of(best, confidence))[0]


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
    few, whole = learnt(some=slice(None, None, 4)), learnt()
    monkeypatch.setattr(cross_lists, "MOST_FITTED", 800)
    lists = learnt()
    np.testing.assert_array_equal(lists.weights_, few.weights_)
    np.testing.assert_array_equal(lists.knots_, few.knots_)
    assert lists.intercept_ == few.intercept_ != whole.intercept_


def test_a_probability_never_falls_while_the_score_rises() -> None:
    lists = learnt()
    rising = np.array([asked(lists, 2, score, score, score) for score in np.linspace(-3, 3, 13)])
    assert (np.diff(rising, axis=0) >= 0).all()
    assert (rising[-1] > rising[0] + 0.3).all()


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
    assert other == pytest.approx(another, abs=0.15)


def suggested() -> tuple[Any, Any]:
    """Return the probabilities of each paper's two suggestions, and which it names."""
    scores, _, probabilities, names = filed()
    lists = learnt()
    given = lists.probabilities(lists.scores_in(scores), probabilities)
    best = np.argsort(-given, axis=1)[:, : cross_lists.CALIBRATED]
    return np.take_along_axis(given, best, axis=1), np.take_along_axis(names, best, axis=1)


def test_probabilities_of_suggestions_are_shares_of_papers() -> None:
    given, names = suggested()
    for low in np.arange(0, 1, 0.2):
        among = (given >= low) & (given < low + 0.2)
        if among.sum() > 100:
            assert given[among].mean() == pytest.approx(names[among].mean(), abs=0.05)


def test_the_knots_rise_from_one_share_to_another() -> None:
    knots = learnt().knots_
    assert knots is not None
    assert knots.dtype == np.float32
    assert (np.diff(knots[0]) >= 0).all()
    assert (np.diff(knots[1]) >= 0).all()
    assert knots.min() >= 0
    assert knots.max() <= 1


LEARNT = learnt()


@settings(deadline=None, max_examples=50)
@given(
    arrays.arrays(np.float32, (5, CLASSES), elements=st.floats(-20, 20, width=32)),
    arrays.arrays(np.float32, (5, len(LISTED)), elements=st.floats(-5, 5, width=32)),
)
def test_no_probability_is_below_that_of_the_class_in_the_ranking(
    margins: Any, scores: Any
) -> None:
    probabilities = softmax(margins, axis=1).astype(np.float32)
    given = LEARNT.probabilities(scores, probabilities)
    best = probabilities.argmax(axis=1)
    assert (given >= 0).all()
    assert (given <= 1).all()
    for number, place in enumerate(OWN[:2]):
        other = best != number
        assert (given[other, place] >= probabilities[other, number]).all()
        assert (given[~other, place] == 0).all()


def test_a_class_of_the_ranking_is_listed_at_least_as_probably() -> None:
    probabilities = np.array([[0.05, 0.45, 0.5]], np.float32)
    hopeless = np.full((1, len(LISTED)), -20, np.float32)
    given = LEARNT.probabilities(hopeless, probabilities)[0]
    assert given[1] >= np.float32(0.45)
    assert given[2] < 0.1, "it is no class, and its score is low"


def older() -> CrossLists:
    """Return cross-lists as older models have them, with two weights and without knots."""
    lists = CrossLists(CLASSES, LISTED, OWN).learn_habits(*filed()[1::2])
    lists.weights_ = np.array([2.0, 0.5], np.float32)
    lists.intercept_ = -1.0
    return lists


def test_cross_lists_of_an_older_model_answer_as_before() -> None:
    content, files = dump(older())
    lists = structure.load(content, files)
    assert lists.knots_ is None
    score = np.array([1.0, -1.0, 0.5])
    wanted = expit(2 * score + 0.5 * lists.habits_[2] - 1)
    assert asked(lists, 2, *score) == pytest.approx(wanted, rel=1e-5)
    assert asked(lists, 0, *score)[0] == 0
    unsure = asked(lists, 2, *score, confidence=0.4)
    assert unsure.tolist() == asked(lists, 2, *score).tolist(), "the ranking has no say"


def test_an_older_model_is_saved_and_opened_again_as_it_was() -> None:
    content, files = dump(older())
    again, _ = dump(structure.load(content, files))
    assert again == content


def test_cross_lists_are_saved_with_their_knots() -> None:
    content, files = dump(LEARNT)
    lists = structure.load(content, files)
    features, _, probabilities, _ = filed()
    scores = lists.scores_in(features)
    np.testing.assert_array_equal(scores, features[:, CLASSES:].toarray())
    given = lists.probabilities(scores, probabilities)
    assert given.tobytes() == LEARNT.probabilities(scores, probabilities).tobytes()


SPOILT = {
    "knots that fall": ("knots_", np.array([[0.5, 0.2], [0, 1]]), "knots_ should rise"),
    "shares that fall": ("knots_", np.array([[0.2, 0.5], [1, 0]]), "knots_ should rise"),
    "no knots": ("knots_", np.zeros((2, 0)), "knots_ should"),
    "knots beyond one": ("knots_", np.array([[0, 2], [0, 1]]), "knots_ should be None or an array"),
    "one row of knots": ("knots_", np.zeros((1, 3)), "should be knots_ of shape"),
    "few weights": ("weights_", np.zeros(2), "should be weights_ of shape"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_cross_lists_that_do_not_fit_together_are_refused(name: str) -> None:
    attribute, value, problem = SPOILT[name]
    lists = learnt()
    setattr(lists, attribute, value.astype(np.float32))
    content, files = dump(lists)
    with pytest.raises(ShelfmarkError, match=f"CrossLists: {problem}"):
        structure.load(content, files)
