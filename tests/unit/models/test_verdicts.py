"""The limits of verdicts: what they are worth by hand, and how a card holds them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shelfmark.core.arrays import Array
from shelfmark.models.scope.detector import Evidence
from shelfmark.models.verdicts import (
    FEW_WORDS,
    LEAST,
    SHORT,
    Question,
    Scope,
    ScopeLimits,
    Verdict,
    VerdictLimits,
    are_short,
    logit,
)

QUESTION = Question(
    intercept=0.5,
    slope=2.0,
    short_intercept=-1.0,
    short_slope=-0.5,
    offsets={"cs.CL": 0.0, "math.PR": -1.0},
    sure_from=0.9,
    likely_from=0.6,
    kept={"sure": 0.95, "likely": 0.7, "open": None},
)
LIMITS = VerdictLimits(0.7, QUESTION, QUESTION, ScopeLimits(1.0, 2.0, -1.0, 0.0))


def estimate(best: int, confidence: float, short: bool = False) -> float:
    values = QUESTION.estimate(
        np.array([best]), np.array([confidence], np.float32), np.array([short])
    )
    return float(values[0])


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def test_an_estimate_is_a_logistic_function_of_the_logit() -> None:
    assert estimate(0, 0.5) == pytest.approx(sigmoid(0.5))
    assert estimate(1, 0.5) == pytest.approx(sigmoid(-0.5))
    assert estimate(0, 0.8) == pytest.approx(sigmoid(0.5 + 2 * np.log(4)), rel=1e-5)
    assert estimate(0, 0.8, short=True) == pytest.approx(
        sigmoid(0.5 - 1 + 1.5 * np.log(4)), rel=1e-5
    )
    assert estimate(1, 0.8, short=True) == pytest.approx(
        sigmoid(0.5 - 1 - 1 + 1.5 * np.log(4)), rel=1e-5
    )


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_a_probability_of_nothing_or_all_has_an_estimate(confidence: float) -> None:
    wanted = sigmoid(0.5 + 2 * float(logit(confidence)))
    assert estimate(0, confidence) == pytest.approx(wanted)
    assert abs(float(logit(confidence))) == pytest.approx(-np.log(LEAST), rel=1e-3)


def test_answers_are_graded_by_two_limits() -> None:
    estimates = np.array([0.95, 0.9, np.nextafter(0.9, 0), 0.6, 0.59, 0.0])
    inside = np.full(6, Scope.IN)
    wanted = [Verdict.SURE] * 2 + [Verdict.LIKELY] * 2 + [Verdict.OPEN] * 2
    assert QUESTION.grade(estimates, inside).tolist() == wanted


@pytest.mark.parametrize("scope", [Scope.OUTSIDE, Scope.DOUBTFUL])
def test_out_of_scope_every_answer_is_open(scope: Scope) -> None:
    assert QUESTION.grade(np.array([1.0, 0.7]), np.full(2, scope)).tolist() == [Verdict.OPEN] * 2


def test_without_limits_no_answer_is_graded() -> None:
    estimates, inside = np.array([1.0, 0.7]), np.full(2, Scope.IN)
    never = replace(QUESTION, sure_from=None, likely_from=None)
    assert never.grade(estimates, inside).tolist() == [Verdict.OPEN] * 2
    unsure = replace(QUESTION, sure_from=None)
    assert unsure.grade(estimates, inside).tolist() == [Verdict.LIKELY] * 2
    sure = replace(QUESTION, likely_from=None)
    assert sure.grade(estimates, inside).tolist() == [Verdict.SURE, Verdict.OPEN]


def test_the_least_probability_of_a_sure_answer() -> None:
    # 2 x logit(p) + 0.5 - offset = log(9)
    limits = QUESTION.confident_from()
    assert limits == {
        "cs.CL": pytest.approx(sigmoid((np.log(9) - 0.5) / 2)),
        "math.PR": pytest.approx(sigmoid((np.log(9) + 0.5) / 2)),
    }


@pytest.mark.parametrize("change", [{"sure_from": None}, {"slope": 0.0}, {"slope": -1.0}])
def test_a_model_that_is_never_sure_or_not_sooner_has_no_least_probability(
    change: dict[str, Any],
) -> None:
    assert replace(QUESTION, **change).confident_from() == {"cs.CL": None, "math.PR": None}


@settings(max_examples=200)
@given(
    st.floats(-3, 3), st.floats(0.3, 3), st.floats(-2, 2), st.floats(0.5, 0.99), st.floats(0.02, 1)
)
def test_from_the_least_probability_on_answers_are_sure(
    intercept: float, slope: float, offset: float, sure_from: float, confidence: float
) -> None:
    question = replace(
        QUESTION, intercept=intercept, slope=slope, offsets={"a": offset}, sure_from=sure_from
    )
    least = question.confident_from()["a"]
    assert least is not None
    assert 0 <= least <= 1
    if abs(confidence - least) > 1e-4 and LEAST < least < 1 - LEAST:
        estimates = question.estimate(
            np.array([0]), np.array([confidence], np.float32), np.array([False])
        )
        (verdict,) = question.grade(estimates, np.array([Scope.IN]))
        assert (verdict == Verdict.SURE) == (confidence > least)


@pytest.mark.parametrize("slope", [1e-2, 1e-4, 1e-9])
@pytest.mark.parametrize("sure_from", [0.01, 0.99, 1.0])
def test_where_the_probability_says_little_the_least_one_is_still_a_probability(
    slope: float, sure_from: float
) -> None:
    limits = replace(QUESTION, slope=slope, sure_from=sure_from).confident_from()
    assert all(limit is not None and 0 <= limit <= 1 for limit in limits.values())


# --- scopes


def scope(subject: float, form: float, known: int = 50) -> Scope:
    one = np.array([0])
    evidence = Evidence(
        np.array([subject], np.float32), np.array([form], np.float32), one, one, one + known, one
    )
    (number,) = LIMITS.scope.scopes(evidence)
    return Scope(number)


@pytest.mark.parametrize(
    ("subject", "form", "wanted"),
    [
        (1.0, 2.0, Scope.IN),
        (9.0, 9.0, Scope.IN),
        (0.99, 9.0, Scope.DOUBTFUL),
        (9.0, 1.99, Scope.DOUBTFUL),
        (-1.0, 0.0, Scope.DOUBTFUL),
        (-1.01, 9.0, Scope.OUTSIDE),
        (9.0, -0.01, Scope.OUTSIDE),
    ],
)
def test_a_text_is_in_scope_with_enough_evidence_of_both_kinds(
    subject: float, form: float, wanted: Scope
) -> None:
    assert scope(subject, form) == wanted


def test_a_text_of_few_known_words_is_never_in_scope() -> None:
    assert scope(9, 9, FEW_WORDS) == Scope.IN
    assert scope(9, 9, FEW_WORDS - 1) == Scope.DOUBTFUL
    assert scope(9, 9, 1) == Scope.DOUBTFUL
    assert scope(9, 9, 0) == Scope.OUTSIDE


# --- short texts


@pytest.mark.parametrize("words", [0, 1, SHORT - 1, SHORT, SHORT + 1, 500])
def test_a_text_of_few_words_is_short(words: int) -> None:
    text = " \n".join(["dust"] * words)
    assert are_short([text, f"  {text} "]).tolist() == [words < SHORT] * 2


def test_no_texts_are_no_short_ones() -> None:
    short: Array = are_short([])
    assert (short.dtype, len(short)) == (np.bool_, 0)


# --- on a card

ADAPTER = TypeAdapter(VerdictLimits)


def test_limits_are_read_as_they_were_written() -> None:
    assert ADAPTER.validate_json(ADAPTER.dump_json(LIMITS)) == LIMITS
    assert ADAPTER.dump_python(LIMITS) == asdict(LIMITS)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("primary", "sure_from", 1.5),
        ("primary", "slope", float("inf")),
        ("primary", "kept", {"certain": 1.0}),
        ("listed", "offsets", {"a": None}),
        ("listed", "more", 1),
        ("scope", "form", float("nan")),
        ("scope", "subject", "0"),
    ],
)
def test_limits_of_another_kind_are_refused(section: str, key: str, value: Any) -> None:
    values = asdict(LIMITS)
    values[section][key] = value
    with pytest.raises(ValidationError, match=key):
        ADAPTER.validate_json(orjson.dumps(values))
