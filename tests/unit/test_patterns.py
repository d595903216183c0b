"""Regular expressions that read other people's texts take steps in proportion to the length."""

from __future__ import annotations

import importlib
import random
import re

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from shelfmark.monitoring import fingerprint
from tests.support.regex_steps import CountedPattern, count_steps

MODULES = (
    "arxiv.papers", "arxiv.text", "core.marks", "experiments.robustness.changes",
    "monitoring.fingerprint", "reports.check", "reports.moderators", "reports.sections",
    "reports.write", "search.query.why", "search.words.terms", "service.messages", "tfidf.counts",
    "tfidf.tokens",
)  # fmt: skip
PATTERNS = {
    f"{module}.{name}": value
    for module in MODULES
    for name, value in vars(importlib.import_module(f"shelfmark.{module}")).items()
    if isinstance(value, re.Pattern)
} | {
    "words of the model": re.compile(TfidfVectorizer().token_pattern),
    "words of a sketch": re.compile(fingerprint.WORDS),
}
# What the patterns begin, end or go on with.
PARTS = (
    *"\\ $(){}[]'`<>-.,;:|_^~&%#=@", "\n", "a", "é", "1", "c", "o", "A", "\u0301", "\uff9e", "’",
    "\\(", "\\[", "\\)", "$$", "\\'", "\\v", "--", "<!--", "-->", "<!-- from ", " in ", "it ",
    "is ", "paper ", "withdrawn ", "has been ", "In ", "French ", "arxiv:", "cs/", "2001.", "v1",
    "--models ", "2020-", "word ",
)  # fmt: skip
# The units that took other patterns most steps.
WORST = ("\\\\(", "\\\\[", "\\(\\", "$\\", "\\(", "\\[", "$$ ", "\\' ", "\\v{ ", "<!--", "<", "' {")


def units() -> list[str]:
    """Return texts to repeat: the worst known, each part, and drawn sequences of parts."""
    draw = random.Random(12)
    drawn = ["".join(draw.choices(PARTS, k=draw.choice((2, 3, 4)))) for _ in range(40)]
    return [*WORST, *PARTS, *drawn]


@pytest.mark.parametrize("name", PATTERNS)
def test_a_text_four_times_as_long_takes_about_four_times_as_many_steps(name: str) -> None:
    for unit in units():
        short, long = (count_steps(PATTERNS[name], unit * n) for n in (6, 24))
        assert long <= 5 * short + 32 * len(unit), (unit, short, long)


def test_the_count_shows_a_pattern_that_takes_the_square_of_the_length() -> None:
    nested = re.compile(r"\\\((?:\\[^()]|[^\\])+\\\)")
    short, long = (count_steps(nested, "\\\\(" * n) for n in (6, 24))
    assert long > 10 * short


@pytest.mark.parametrize("name", PATTERNS)
def test_the_counting_matcher_finds_what_re_finds(name: str) -> None:
    draw, pattern = random.Random(3), PATTERNS[name]
    counted = CountedPattern(pattern)
    for _ in range(50):
        text = "".join(draw.choices(PARTS, k=draw.randrange(1, 15)))
        assert counted.find_all(text) == [match.span() for match in pattern.finditer(text)]
