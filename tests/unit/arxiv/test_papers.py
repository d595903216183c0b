"""Categories, and the signs by which a paper is left out."""

from __future__ import annotations

import re

import pytest

from shelfmark.arxiv.papers import (
    BadRecordError,
    is_foreign,
    is_withdrawn,
    parse_categories,
)


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
        ("cs.AI,cs.CL", ("cs.AI", "cs.CL")),
        ("cs.LG;stat.ML", ("cs.LG", "stat.ML")),
        ("cs.LG, stat.ML,", ("cs.LG", "stat.ML")),
        ("cs.LG | stat.ML / cs.AI", ("cs.LG", "stat.ML", "cs.AI")),
        ("['cs.LG', 'stat.ML']", ("cs.LG", "stat.ML")),
        ('["cs.LG"]', ("cs.LG",)),
        ("Machine Learning (cs.LG); Distributed, Parallel, and Cluster Computing (cs.DC)",
         ("cs.LG", "cs.DC")),
        ("High Energy Physics - Theory (hep-th)", ("hep-th",)),
        ("cs.lg CS.AI", ("cs.LG", "cs.AI")),
        ("HEP-TH Cond-Mat.Supr-Con", ("hep-th", "cond-mat.supr-con")),
        ("cs.NW cs.LG", ("cs.NW", "cs.LG")),
        ("cs.LG cs.nw CS.NW", ("cs.LG", "cs.NW")),
        ("physics.new-ph", ("physics.new-ph",)),
        ("bio.AB cs.LG", ("bio.AB", "cs.LG")),
        ("bio-ph", ("bio-ph",)),
    ],
)  # fmt: skip
def test_categories_take_todays_names_once_and_in_order(names: str, today: tuple[str, ...]) -> None:
    assert parse_categories(names) == today


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("", "no category"),
        (" \n", "no category"),
        (" , ;", "no category"),
        ("[]", "no category"),
        ("cs.", "unknown category 'cs.'"),
        (".LG", "unknown category '.LG'"),
        ("cs.L", "unknown category 'cs.L'"),
        ("cs..LG", "unknown category 'cs..LG'"),
        ("cs.LG.AI", "unknown category 'cs.LG.AI'"),
        ("42", "unknown category '42'"),
        ("cs.AI 68T05", "unknown category '68T05'"),
        ("cs.AI I.2.7", "unknown category 'I.2.7'"),
        ("machine learning", "unknown category 'machine'"),
        ("Robotics", "unknown category 'Robotics'"),
        ("arxiv.org", "unknown category 'arxiv.org'"),
        ("cs.\u0391\u0399", "unknown category 'cs.\u0391\u0399'"),
        ("cs." + "A" * 99, "unknown category 'cs.AAA"),
    ],
)
def test_texts_that_are_no_categories(names: str, reason: str) -> None:
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
