"""The work for one paper grows in proportion to its text, whatever the text holds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from shelfmark.models.answers import PaperQuery, answer_queries
from shelfmark.models.artifact import Model
from shelfmark.models.traits import text_traits
from shelfmark.monitoring.fingerprint import sketcher_for

HOSTILE = {
    "known words": "robot arm grasping ", "one word": "a", "letters": "a ", "accents": "é ",
    "marks": "e\u0301\u0323\u0315 ", "a run of marks": "\u0301\u0323",
    "hidden marks": "\u0f73\uff9e", "ligatures": "\ufdfa", "Hangul": "\u1100\u1161\u11a8",
    "final sigmas": "Σ\u0301", "dotted I": "İ", "surrogates": "\ud800 ", "TeX": "\\'{e} \\v{",
    "open formulas": "\\\\( $ \\[ ", "zeros": "\0 ", "white space": " \n\t\u2028",
    "signs": "<!-- ` ", "joined signs": "👩\u200d👩 ",
}  # fmt: skip


def answer(model: Model, abstract: str) -> None:
    """Answer, explain and record a paper, as the service does."""
    answer_queries(model, [PaperQuery("On it", f"robot {abstract}", 5, explain=True)])
    text = model.text("On it", abstract)
    text_traits(model, text)
    sketcher_for(model).sketch(text)


def count_calls(work: Callable[[], object]) -> int:
    """Return how many functions were called, those in C too."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("length", [400, 3000])  # short texts are counted in another way
def test_a_text_four_times_as_long_takes_about_four_times_as_many_calls(
    model: Model, kind: str, length: int
) -> None:
    short, long = ((HOSTILE[kind] * size)[:size] for size in (length, 4 * length))
    answer(model, short)  # what is built once, on first use
    calls = count_calls(lambda: answer(model, short))
    assert count_calls(lambda: answer(model, long)) <= 4.5 * calls
