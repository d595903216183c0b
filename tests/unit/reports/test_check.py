"""Whether a number in a text is the rounding of a figure."""

from __future__ import annotations

from typing import Any

import pytest

from shelfmark.reports.check import Source, find_unsourced_numbers, narrow_sources

FIGURES: dict[str, Any] = {
    "model": "five",
    "accuracy": 0.84152,
    "loss": -0.0251,
    "papers": 26440,
    "tiny": 0.0000123,
    "yes": True,
    "created": "2026-11-22T10:00:07+00:00",
    "word": "since “2019” more",
    "deeper": {"f1": 0.777},
    "2013": {"2014": {"papers": 12}},
    "pairs": [{"one": "cs.AI", "other": "cs.LG", "share": 0.25}, {"one": "x", "share": 0.5}],
}


@pytest.mark.parametrize(
    "text",
    [
        "0.8415, 0.84 and 0.8",
        "84.2 % and 84%",
        "26,440 papers, 26440 papers",
        "-0.025 and −0.03",
        "1.23e-05 or 1.2e-05",
        "top-3, F1, p95",
        "made 2026-11-22 10:00 UTC",
        "more “2019”",
    ],
)
def test_roundings_are_right(text: str) -> None:
    assert find_unsourced_numbers(text, [Source(FIGURES, "five", False)]) == []


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("0.8416", ["0.8416"]),
        ("0.842", []),
        ("0.841", ["0.841"]),
        ("0.84153", ["0.84153"]),
        ("0.8400", ["0.8400"]),
        ("85 %", ["85 %"]),
        ("26,441", ["26,441"]),
        ("2,644", ["2,644"]),
        ("0.025", ["0.025"]),
        ("1", []),
        ("2026-11-23", ["2026-11-23"]),
        ("2026-11-22 10:01", ["2026-11-22 10:01"]),
        ("11-22", ["11", "22"]),
        ("0.777", ["0.777"]),
    ],
)
def test_other_numbers_are_found(text: str, result: list[str]) -> None:
    assert find_unsourced_numbers(text, [Source(FIGURES, "five", False)]) == result


def test_deeper_figures_count_if_the_whole_tree_is_named() -> None:
    assert find_unsourced_numbers("0.777", [Source(FIGURES, "five", True)]) == []


def test_without_a_source_no_number_is_right() -> None:
    assert find_unsourced_numbers("one of 7", []) == ["7"]


@pytest.mark.parametrize(
    ("names", "trees"),
    [
        (["five", "accuracy"], [0.84152]),
        (["deeper", "f1"], [0.777]),
        (["2013", "2014", "papers"], [12]),
        (["cs.LG", "cs.AI", "share"], []),
        (["pairs", "cs.LG", "cs.AI", "share"], [0.25]),
        (["seven"], []),
    ],
)
def test_names_select_their_figures(names: list[str], trees: list[Any]) -> None:
    narrowed = narrow_sources([Source(FIGURES, "five", False)], names)
    assert [source.tree for source in narrowed] == trees
