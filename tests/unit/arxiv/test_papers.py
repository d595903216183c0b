"""Identifiers, categories, and the signs by which a paper is left out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.arxiv.papers import (
    BadRecordError,
    is_foreign,
    is_withdrawn,
    parse_categories,
    parse_identifier,
)

NEW = st.from_regex(r"[0-9]{4}\.[0-9]{4,5}", fullmatch=True)
OLD = st.from_regex(r"[a-z]{2,5}(-[a-z]{2,3})?/[0-9]{7}", fullmatch=True)
IDENTIFIERS = st.one_of(NEW, OLD)


@given(IDENTIFIERS, st.integers(1, 99), st.sampled_from(["", "arXiv:", "arxiv:", "ARXIV:"]))
def test_an_identifier_loses_version_and_prefix_alone(name: str, version: int, prefix: str) -> None:
    assert parse_identifier(name) == name
    assert parse_identifier(f" {prefix}{name}v{version}\n") == name


@given(OLD)
def test_the_dash_of_some_dumps_is_a_slash(name: str) -> None:
    assert parse_identifier(name.replace("/", "-")) == name


@given(st.one_of(st.text(), IDENTIFIERS.map(lambda name: name + "9"), st.from_regex(r"\d+\.\d+")))
def test_anything_else_is_refused_or_is_plain_ascii(text: str) -> None:
    try:
        name = parse_identifier(text)
    except BadRecordError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 120
    else:
        assert re.fullmatch(r"[0-9]{4}\.[0-9]{4,5}|[A-Za-z.-]+/[0-9]{7}", name)
        assert parse_identifier(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0704.0001", "0704.0001"),
        ("0704.1000", "0704.1000"),
        ("1501.00001v12", "1501.00001"),
        ("hep-th/9901001v3", "hep-th/9901001"),
        ("math.GT/0309136", "math.GT/0309136"),
        ("cs-9308101v1", "cs/9308101"),
        ("cond-mat-0001001", "cond-mat/0001001"),
        ("arXiv:2101.12345V2", "2101.12345"),
    ],
)
def test_identifiers_of_every_age(text: str, name: str) -> None:
    assert parse_identifier(text) == name


@pytest.mark.parametrize(
    "text",
    ["", " ", "704.1", "704.0001", "0704.001", "0704.123456", "0704,0001", "0704.0001v", "hep-th",
     "hep-th/99010", "10.1000/182", "0704.0001 0704.0002", "\u0660\u0667\u0660\u0664.0001",
     "0704.0001\0", "http://arxiv.org/abs/0704.0001"],
)  # fmt: skip
def test_what_is_no_identifier(text: str) -> None:
    with pytest.raises(BadRecordError, match="not an arXiv identifier"):
        parse_identifier(text)


def test_a_long_wrong_identifier_is_cut_in_the_message() -> None:
    with pytest.raises(BadRecordError) as caught:
        parse_identifier("x" * 10_000)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("names", "today"),
    [
        ("cs.AI", ("cs.AI",)),
        ("cs.AI cs.CL stat.ML", ("cs.AI", "cs.CL", "stat.ML")),
        ("  cs.CV\n cs.LG ", ("cs.CV", "cs.LG")),
        ("cmp-lg cs.CL", ("cs.CL",)),
        ("math.MP math-ph math.IT", ("math-ph", "cs.IT")),
        ("cs.SY eess.SY cs.RO", ("eess.SY", "cs.RO")),
        ("astro-ph", ("astro-ph",)),
    ],
)
def test_categories_take_todays_names_once_and_in_order(names: str, today: tuple[str, ...]) -> None:
    assert parse_categories(names) == today


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("", "no category"),
        (" \n", "no category"),
        ("cs.XX", "unknown category 'cs.XX'"),
        ("cs.AI cs.ZZ", "unknown category 'cs.ZZ'"),
        ("cs.AI,cs.CL", "unknown category 'cs.AI,cs.CL'"),
    ],
)
def test_categories_that_arxiv_never_had(names: str, reason: str) -> None:
    for _ in range(2):  # a cache must not remember a refusal as an answer
        with pytest.raises(BadRecordError, match=re.escape(reason)):
            parse_categories(names)


@pytest.mark.parametrize(
    "text",
    [
        "This paper has been withdrawn by the author.",
        "This paper has been\n withdrawn due to an error",
        "Withdrawn",
        "withdrawn by authors",
        "Paper withdrawn: the proof has a gap",
        "The manuscript was withdrawn because of a gap",
        "This article has been temporarily withdrawn",
        "This submission was retracted",
        "We prove a bound. This paper has been withdrawn, see the new version.",
        "[Withdrawn] superseded",
    ],
)
def test_a_withdrawn_paper_is_recognised(text: str) -> None:
    assert is_withdrawn(text, "")
    assert is_withdrawn("An abstract that says nothing of it.", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Funds withdrawn from a bank follow a power law.",
        "Customers who have withdrawn money are modelled.",
        "A withdrawal operator; particles are withdrawn at random.",
        "The needle is slowly retracted while robots insert it.",
        "The cache of withdrawn articles is studied.",
    ],
)
def test_other_things_that_are_withdrawn(text: str) -> None:
    assert not is_withdrawn(text, text)


@pytest.mark.parametrize(
    "comments",
    [
        "24 pages, in French",
        "24 pages, in french",
        "In French",
        "In Russian. 76 pages, 6 figures",
        "(In German)",
        "[in german!]",
        "Text written in Spanish, 3 figures",
        "language: Portuguese",
        "Language: italian. Pages 10",
        "5 pages,\n  in\n  Japanese",
        "In Spanish, with English abstract",
    ],
)
def test_comments_name_another_language(comments: str) -> None:
    assert is_foreign(comments)


@pytest.mark.parametrize(
    "comments",
    [
        "",
        "24 pages, 3 figures",
        "To appear in Chinese Physics B",
        "Published in Romanian Journal of Physics",
        "to appear in LATIN 2018",
        "in English and French",
        "25 pages, in English, German and Russian",
        "in French and English",
        "in French or English",
        "French conference on machine learning, in English",
        "Sentiment in a Japanese corpus",
        "maintain Polish notation",
    ],
)
def test_comments_of_english_papers(comments: str) -> None:
    assert not is_foreign(comments)
