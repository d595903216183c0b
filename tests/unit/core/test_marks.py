"""Combining marks: long runs are cut to what Unicode's Stream-Safe Text Format allows."""

from __future__ import annotations

import sys
import unicodedata
from unicodedata import combining, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.core import marks

ACCENT, BELOW = "\u0301", "\u0323"
# Marks of class 0 that decompose into marks of other classes, and one that makes two.
HIDDEN = ["\u0f73", "\u0f75", "\u0f81", "\uff9e", "\uff9f", "\u0344"]
LETTERS = ["e", " ", "\n", "é", "ế", "ᾂ", "한", "カ", "\u1100", "“", "中"]
RUNS = st.lists(
    st.tuples(st.sampled_from([*LETTERS, ACCENT, BELOW, "\u3099", *HIDDEN]), st.integers(0, 40)),
    max_size=8,
).map(lambda parts: "".join(sign * times for sign, times in parts))


def longest_run(text: str) -> int:
    """Return the most non-starters in a row when each character is decomposed where it stands."""
    longest = run = 0
    for character in text:
        for part in normalize("NFKD", character):
            run = run + 1 if combining(part) else 0
            longest = max(longest, run)
    return longest


def assigned() -> list[str]:
    """Return every character that Unicode has assigned."""
    characters = map(chr, range(sys.maxunicode + 1))
    return [one for one in characters if unicodedata.category(one) not in {"Cn", "Co", "Cs"}]


def test_the_limits_hold_for_every_character_of_unicode() -> None:
    for character in assigned():
        parts = [combining(part) > 0 for part in normalize("NFKD", character)]
        if not any(parts):
            assert not combining(character)
        elif parts[0]:
            assert all(parts)
            assert len(parts) <= 2
            assert ord(character) in marks.PLANES
            assert marks._ANY.match(character)
            assert marks._long_runs().fullmatch(character * marks.FEWEST)
        else:
            assert not combining(character)
            last_letter = len(parts) - parts[::-1].index(False)
            assert len(parts) - last_letter <= 3
    assert 2 * (marks.FEWEST - 1) + 3 <= marks.MOST


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("e" + ACCENT * 30, "e" + ACCENT * 30),
        ("e" + ACCENT * 31, "e" + ACCENT * 30),
        ("é" + ACCENT * 31, "é" + ACCENT * 29),
        ("ế" + ACCENT * 31, "ế" + ACCENT * 28),
        (ACCENT * 31 + "e", ACCENT * 30 + "e"),
        ("x" + ACCENT * 50 + " y" + BELOW * 50, "x" + ACCENT * 30 + " y" + BELOW * 30),
        ("\u0f73" * 20, "\u0f73" * 15),
        ("a" + "\uff9e\u0f75" * 20, "a" + "\uff9e\u0f75" * 10),
        ("ᾂ" + "\u0344" * 14, "ᾂ" + "\u0344" * 13),
    ],
)
def test_a_run_is_cut_after_thirty_non_starters(text: str, kept: str) -> None:
    assert marks.cut_long_runs(text) == kept
    assert marks.cut_long_runs(kept) == kept


@given(RUNS)
def test_no_run_is_longer_than_the_stream_safe_format_allows(text: str) -> None:
    cut = marks.cut_long_runs(text)
    assert longest_run(cut) <= marks.MOST
    assert marks.cut_long_runs(cut) == cut
    if longest_run(text) <= marks.MOST:
        assert cut == text


@given(RUNS)
def test_only_marks_are_left_out(text: str) -> None:
    for shorter in (marks.cut_long_runs(text), marks.remove_long_runs(text)):
        rest = iter(text)
        assert all(character in rest for character in shorter)
        assert [x for x in shorter if x in LETTERS] == [x for x in text if x in LETTERS]


@given(RUNS)
def test_removed_runs_leave_none_that_is_long(text: str) -> None:
    assert longest_run(marks.remove_long_runs(text)) <= marks.MOST
