"""The limits of verdicts keep what they promise, on answers whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from shelfmark.models import limits
from shelfmark.models.confidence import Answers, coverage
from shelfmark.models.limits import FEWEST, MOST_MADE, MOST_STRANGERS, Seen, choose_limits
from shelfmark.models.verdicts import Question, Scope, Verdict, VerdictLimits
from tests.support.answered import CLASSES, draw, seen, some_rows, strangers

WORSE = np.array([0, 0, 0, -2.5, 0, 0])  # math.PR is wrong more often than it says


def grade(chosen: VerdictLimits, answers: Answers, question: Question | None = None) -> Any:
    question = question or chosen.primary
    assert answers.evidence is not None
    estimates = question.estimate(answers.best, answers.confidence, answers.short)
    return question.grade(estimates, chosen.scope.scopes(answers.evidence))


def error(precision: float, answers: int) -> float:
    """Return two standard deviations of a share."""
    return float(2 * np.sqrt(precision * (1 - precision) / max(answers, 1)))


@cache
def chosen_on(papers: int, effects: str = "none") -> tuple[Seen, VerdictLimits]:
    given = seen(papers, 10, effects={"none": 0.0, "worse": WORSE}[effects])
    return given, choose_limits(given, 0.95, 0.7)


@pytest.mark.parametrize("effects", ["none", "worse"])
@pytest.mark.parametrize("papers", [600, 6000])
def test_verdicts_keep_their_promises_on_other_papers(papers: int, effects: str) -> None:
    _, chosen = chosen_on(papers, effects)
    fresh = draw(20_000, 99, {"none": 0.0, "worse": WORSE}[effects])
    for question, right in ((chosen.primary, fresh.right), (chosen.listed, fresh.among)):
        verdicts = grade(chosen, fresh, question)
        for verdict, precision in ((Verdict.SURE, 0.95), (Verdict.LIKELY, 0.7)):
            among = verdicts == verdict
            if verdict == Verdict.SURE:
                assert among.mean() > 0.2, "a limit that no answer reaches keeps any promise"
            slack = error(precision, papers * among.mean()) + error(precision, among.sum())
            assert not among.any() or right[among].mean() >= precision - slack


def test_the_shares_that_kept_the_limits_are_those_of_validation() -> None:
    given, chosen = chosen_on(6000)
    own = given.own
    for question, right in ((chosen.primary, own.right), (chosen.listed, own.among)):
        verdicts = grade(chosen, own, question)
        assert own.evidence is not None
        inside = chosen.scope.scopes(own.evidence) == Scope.IN
        for name, verdict in (("sure", 2), ("likely", 1), ("open", 0)):
            among = inside & (verdicts == verdict)
            kept = question.kept[name]  # type: ignore[index]
            assert kept == (pytest.approx(right[among].mean()) if among.any() else None)
        assert question.kept["sure"] is not None
        assert question.kept["sure"] >= 0.95


def test_few_strangers_and_made_texts_are_sure() -> None:
    given, chosen = chosen_on(6000)
    assert (grade(chosen, given.strangers) == Verdict.SURE).mean() <= MOST_STRANGERS
    assert (grade(chosen, strangers(20_000, 77)) == Verdict.SURE).mean() <= 2 * MOST_STRANGERS
    assert (grade(chosen, given.made) == Verdict.SURE).mean() <= MOST_MADE
    listed = grade(chosen, given.strangers, chosen.listed)
    assert (listed == Verdict.SURE).mean() <= MOST_STRANGERS


def test_strangers_that_are_like_own_papers_leave_few_answers_sure() -> None:
    given, chosen = chosen_on(6000)
    alike = draw(800, 5, effects=-99.0, subject=4.0)
    hard = choose_limits(replace(given, strangers=alike), 0.95, 0.7)
    assert (grade(hard, alike) == Verdict.SURE).mean() <= MOST_STRANGERS
    own = given.own
    assert (grade(hard, own) == Verdict.SURE).mean() < (grade(chosen, own) == Verdict.SURE).mean()


def test_nearly_all_own_papers_are_in_scope_and_made_texts_are_not() -> None:
    given, chosen = chosen_on(6000)
    scopes = {}
    for name, answers in vars(given).items():
        scopes[name] = chosen.scope.scopes(answers.evidence)
    assert (scopes["own"] == Scope.OUTSIDE).mean() < 0.02
    assert (scopes["own"] == Scope.IN).mean() > 0.9
    assert (scopes["made"] == Scope.IN).mean() < 0.01
    assert (scopes["strangers"] == Scope.IN).mean() < 0.2


def test_out_of_scope_every_verdict_is_open() -> None:
    given, chosen = chosen_on(6000)
    for answers in vars(given).values():
        outside = chosen.scope.scopes(answers.evidence) != Scope.IN
        for question in (chosen.primary, chosen.listed):
            assert set(grade(chosen, answers, question)[outside]) <= {Verdict.OPEN}


def test_without_strangers_the_subject_has_no_say() -> None:
    given, _ = chosen_on(600)
    none = choose_limits(replace(given, strangers=draw(0, 1)), 0.95, 0.7)
    assert none.scope.subject <= -1e9
    assert none.scope.subject_outside <= -1e9
    assert none.primary.sure_from is not None


def test_no_titles_are_needed() -> None:
    given, chosen = chosen_on(6000)
    none = choose_limits(replace(given, titles=draw(0, 1)), 0.95, 0.7)
    assert none.primary.short_intercept == pytest.approx(0)
    assert none.primary.slope == pytest.approx(chosen.primary.slope, rel=0.1)


@pytest.mark.parametrize("others", [1, 20, 60, 120, 200])
@pytest.mark.parametrize("unlike", [True, False])
def test_a_few_strangers_and_made_texts_are_enough(others: int, unlike: bool) -> None:
    given = seen(600, 10, others)
    if unlike:  # none of them is as probable as an own paper
        flat = np.full((others, len(CLASSES)), 1 / len(CLASSES), np.float32)
        few, made = (replace(x, probabilities=flat) for x in (given.strangers, given.made))
        given = replace(given, strangers=few, made=made)
    chosen = choose_limits(given, 0.95, 0.7)
    assert (grade(chosen, given.strangers) == Verdict.SURE).mean() <= MOST_STRANGERS


# --- classes


def with_few_of(number: int, given: Seen) -> Seen:
    """Return what is chosen on, with twenty answers of a class and none to titles."""
    of_class = np.flatnonzero(given.own.best == number)
    own, titles = np.ones(len(given.own.best), np.bool_), given.titles.best != number
    own[of_class[20:]] = False
    return replace(given, own=some_rows(given.own, own), titles=some_rows(given.titles, titles))


def test_a_class_of_twenty_papers_gets_a_limit() -> None:
    few = with_few_of(3, seen(6000, 10))
    assert (few.own.best == 3).sum() == 20
    least = choose_limits(few, 0.95, 0.7).primary.confident_from()
    assert all(limit is not None and limit < 0.99 for limit in least.values())
    assert least["math.PR"] == pytest.approx(least["math.ST"], abs=0.05)


def test_a_class_that_is_worse_than_it_says_gets_a_higher_limit() -> None:
    _, chosen = chosen_on(6000, "worse")
    limits_of = chosen.primary.confident_from()
    worse = limits_of.pop("math.PR")
    assert all(limit is not None and worse is not None and limit < worse
               for limit in limits_of.values())  # fmt: skip
    offsets = chosen.primary.offsets
    assert offsets["math.PR"] < min(offsets[name] for name in CLASSES if name != "math.PR") - 1
    assert offsets["math.ST"] < offsets["cs.CL"], "it shares the archive, and so a part"


def test_few_papers_move_a_class_less_than_many() -> None:
    given, chosen = chosen_on(6000, "worse")
    fewer = with_few_of(3, given)
    few = limits.fit_question(fewer, [fewer.own.right, fewer.titles.right]).offsets
    many = chosen.primary.offsets
    assert many["math.PR"] < few["math.PR"] <= 0, "of few papers maybe nothing"


def test_calibrated_answers_are_estimated_as_they_are() -> None:
    given, chosen = chosen_on(6000)
    own = given.own
    estimates = chosen.primary.estimate(own.best, own.confidence, own.short)
    for low in np.arange(0.3, 1, 0.1):
        among = (estimates >= low) & (estimates < low + 0.1)
        if among.sum() > 100:
            assert own.right[among].mean() == pytest.approx(estimates[among].mean(), abs=0.06)


def test_the_order_by_the_estimate_is_no_worse_than_that_by_the_probability() -> None:
    _, chosen = chosen_on(6000, "worse")
    fresh = draw(20_000, 98, WORSE)
    estimates = chosen.primary.estimate(fresh.best, fresh.confidence, fresh.short)
    ours = coverage(estimates.astype(np.float32), fresh.right)
    plain = coverage(fresh.confidence, fresh.right)
    gains = []
    for one, other in zip(ours, plain, strict=True):
        answers = round(one["coverage"] * 20_000)
        gains.append(one["precision"] - other["precision"])
        assert gains[-1] >= -error(other["precision"], answers)
    assert max(gains) > 0.01


# --- small and odd samples


@pytest.mark.parametrize("right", [True, False])
def test_answers_that_are_all_right_or_all_wrong(right: bool) -> None:
    given = seen(600, 10, effects=99.0 if right else -99.0)
    if not right:
        given = replace(given, own=replace(given.own, among=np.zeros(600, np.bool_)))
    chosen = choose_limits(given, 0.95, 0.7)
    sure = grade(chosen, given.own) == Verdict.SURE
    assert sure.mean() > 0.8 if right else not sure.any()
    if not right:
        assert chosen.primary.sure_from is None
        assert chosen.primary.likely_from is None
        assert chosen.primary.kept["sure"] is None
        assert set(chosen.primary.confident_from().values()) == {None}


@pytest.mark.parametrize("papers", [1, 5, FEWEST - 1])
def test_few_answers_give_no_limit(papers: int) -> None:
    chosen = choose_limits(seen(papers, 10, effects=99.0), 0.95, 0.7)
    for question in (chosen.primary, chosen.listed):
        assert question.sure_from is None
        assert question.likely_from is None


def lowest(estimates: Any, right: Any, precision: float, least: float = 0.0) -> float | None:
    """Return the lowest limit from which enough answers keep a precision, one by one."""
    kept = []
    for limit in np.unique(estimates):
        taken = estimates >= limit
        right_ones, wrong_ones = right[taken].sum(), (~right[taken]).sum()
        share = beta(right_ones + 0.5, wrong_ones + 0.5).ppf(1 - limits.TRUST)
        if share >= precision and taken.sum() >= FEWEST and limit >= least:
            kept.append(float(limit))
    return min(kept, default=None)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=120),
    st.sampled_from([0.5, 0.7, 0.9]),
    st.sampled_from([0.0, 0.35]),
)
def test_a_limit_is_the_lowest_that_keeps_the_precision_and_equals_stand_together(
    papers: list[tuple[int, int]], precision: float, least: float
) -> None:
    estimates = np.array([estimate for estimate, _ in papers]) / 10
    right = np.array([draw <= estimate for estimate, draw in papers], np.bool_)
    given = limits._lowest(estimates, right, precision, least)
    assert given == lowest(estimates, right, precision, least)


@settings(max_examples=100)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    st.integers(0, 2000),
    st.sampled_from([0.004, 0.0085, 0.05]),
)
def test_few_reach_the_least_evidence(numbers: list[int], more: int, most: float) -> None:
    evidence, total = np.array(numbers, np.float32), len(numbers) + more
    limit = limits._least_of(evidence, total, most)
    reached = (evidence >= np.float32(limit)).sum()
    assert reached == 0 or reached / total <= most
    if np.isfinite(limit) and (lower := evidence[evidence < limit]).size:
        wider = (evidence >= lower.max()).sum()
        upper = beta(wider + 0.5, total - wider + 0.5).ppf(limits.TRUST) if wider < total else 1.0
        assert upper > most, "a lower limit would let too many through"
