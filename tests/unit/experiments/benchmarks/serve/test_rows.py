"""The lines of the table of `inv bench serve`, and what counts as an equal answer."""

from __future__ import annotations

from typing import Any

import pytest

from shelfmark.experiments.benchmarks.serve import papers, rows
from shelfmark.experiments.benchmarks.serve.equality import is_equal
from shelfmark.experiments.benchmarks.serve.wrk import Figures

SERVED: dict[str, Any] = {
    "category": "cs.RO", "confidence": 0.75, "verdict": "sure", "reason": None,
    "ranking": [{"category": "cs.RO", "probability": 0.75}], "model": "five",
}  # fmt: skip


def predicted(probability: float = 0.75, **other: Any) -> dict[str, Any]:
    answer = {name: value for name, value in SERVED.items() if name != "model"}
    ranking = [{"category": "cs.RO", "probability": probability}]
    return {"line": 3, "id": None, **answer, "ranking": ranking, **other}


def test_a_ratio_above_one_means_that_ours_is_better() -> None:
    ours, theirs = Figures(400.0, 2.0, 4.0), Figures(200.0, 1.0, 8.0)
    table = rows.compare("GET /health, 32 connections", ours, theirs, "the empty app")
    assert [tuple(row) for row in table] == [
        ("GET /health, 32 connections", "400 requests/s", "200 requests/s, the empty app", "2.0x"),
        ("  p50", "2.00 ms", "1.00 ms", "1/2.0"),
        ("  p99", "4.00 ms", "8.00 ms", "2.0x"),
        ("  p99 over p50", "2.0", "8.0", "4.0x"),
    ]


def test_lists_count_their_papers() -> None:
    first = rows.describe_lists("lists", 64, Figures(10.0, 1.0, 2.0), 160.0, "the plain app")[0]
    assert tuple(first)[:2] == ("lists: lists of 64", "640 papers/s")
    assert first.ratio == "4.0x"


def test_answers_that_differ_are_counted_in_capitals() -> None:
    assert rows.describe_equality(2000, 0).here == "equal to inv predict's"
    assert rows.describe_equality(2000, 3).here == "NOT equal to inv predict's: 3 papers"


@pytest.mark.parametrize(
    ("answer", "equal"),
    [
        (predicted(), True),
        (predicted(probability=0.750001), True),  # the last digit may be rounded otherwise
        (predicted(probability=0.750002), False),
        (predicted(category="cs.AI"), False),
        (predicted(verdict="likely"), False),
        (predicted(ranking=[]), False),
        (predicted(why=None), False),
    ],
)
def test_an_answer_is_equal_but_for_rounding(answer: dict[str, Any], equal: bool) -> None:
    assert is_equal(SERVED, answer) is equal


def test_lists_hold_all_papers_in_their_order() -> None:
    asked = [{"title": str(number), "abstract": ""} for number in range(5)]
    lists = papers.divide(asked, 2)
    assert [len(body["papers"]) for body in lists] == [2, 2, 1]
    assert [paper for body in lists for paper in body["papers"]] == asked
