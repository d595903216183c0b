"""The changes: their effects, the same for the same seed, on any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.arxiv.text import clean_text
from shelfmark.data.sources import sample
from shelfmark.experiments.robustness import changes
from shelfmark.experiments.robustness.changes import CHANGES
from shelfmark.models import artifact

TITLE = r"On the Gröbner Basis: a $\alpha_{i}$-robust VIEW"
ABSTRACT = (
    r"We present a method for large problems. It is based on \emph{deep} networks! "
    "The results show that it works well. Is it fast? Yes"
)
PAPERS = [(clean_text(x.title), clean_text(x.abstract)) for _, x in sample.read_records(None, 200)]
SEEDS = st.integers(0, 2**31)


def one(name: str, title: str = TITLE, abstract: str = ABSTRACT, seed: int = 1) -> tuple[str, str]:
    return changes.apply_change(name, [(title, abstract)], seed)[0]


@pytest.mark.parametrize("name", CHANGES)
@given(title=st.text(), abstract=st.text(), seed=SEEDS)
def test_any_text_is_changed_the_same_for_the_same_seed(
    name: str, title: str, abstract: str, seed: int
) -> None:
    result = one(name, title, abstract, seed)
    assert result == one(name, title, abstract, seed)
    assert all(isinstance(text, str) for text in result)


@pytest.mark.parametrize("name", CHANGES)
def test_the_change_of_a_paper_does_not_depend_on_the_others(name: str) -> None:
    assert changes.apply_change(name, PAPERS[:3], 5) == changes.apply_change(name, PAPERS, 5)[:3]


@pytest.mark.parametrize("name", ["typos", "dropped words", "shuffled sentences", "boilerplate"])
def test_another_seed_gives_other_changes(name: str) -> None:
    assert changes.apply_change(name, PAPERS, 1) != changes.apply_change(name, PAPERS, 2)


@given(abstract=st.text(), seed=SEEDS)
def test_typos_keep_the_number_of_words(abstract: str, seed: int) -> None:
    assert len(one("typos", "", abstract, seed)[1].split()) == len(abstract.split())


def test_one_in_ten_of_the_longer_words_gets_a_typo() -> None:
    pairs = [
        pair
        for (_, old), (_, new) in zip(PAPERS, changes.apply_change("typos", PAPERS, 1), strict=True)
        for pair in zip(old.split(), new.split(), strict=True)
    ]
    long = [(old, new) for old, new in pairs if old.isalpha() and len(old) >= 4]
    assert all(old == new for old, new in pairs if len(old) < 4)
    # Swapping two equal letters, for example, shows nothing.
    assert 0.08 < sum(old != new for old, new in long) / len(long) < 0.11
    assert all(abs(len(old) - len(new)) <= 1 for old, new in long)


def test_typos_spare_the_commands_of_tex() -> None:
    text = r"\mathbb \alpha \operatorname" * 50
    assert one("typos", "", text)[1] == text


@given(abstract=st.text(), seed=SEEDS)
def test_dropped_words_leave_the_others_in_order(abstract: str, seed: int) -> None:
    words, left = abstract.split(), one("dropped words", "", abstract, seed)[1].split()
    rest = iter(words)
    assert all(word in rest for word in left)
    assert bool(left) == bool(words)


def test_a_fifth_of_the_words_is_dropped() -> None:
    before = sum(len(abstract.split()) for _, abstract in PAPERS)
    after = sum(len(text.split()) for _, text in changes.apply_change("dropped words", PAPERS, 1))
    assert 0.78 < after / before < 0.82


@given(sentences=st.lists(st.from_regex(r"[A-Z][a-z ]{0,20}[.!?]", fullmatch=True)), seed=SEEDS)
def test_shuffled_sentences_are_the_same_sentences(sentences: list[str], seed: int) -> None:
    title, text = one("shuffled sentences", "A title", " ".join(sentences), seed)
    assert title == "A title"
    assert sorted(re.split(r"(?<=[.!?]) ", text)) == (sorted(sentences) or [""])


def test_sentences_are_shuffled() -> None:
    first = [text.split()[0] for _, text in changes.apply_change("shuffled sentences", PAPERS, 1)]
    moved = sum(
        word != abstract.split()[0] for word, (_, abstract) in zip(first, PAPERS, strict=True)
    )
    assert moved > len(PAPERS) / 2


def test_a_model_reads_capitals_as_it_reads_small_letters(model: artifact.Model) -> None:
    before, after = PAPERS[:50], changes.apply_change("upper case", PAPERS[:50], 1)
    assert after[0][1].isupper()
    probabilities = [
        model.probabilities([model.text(*paper) for paper in side]) for side in (before, after)
    ]
    assert (probabilities[0][0] == probabilities[1][0]).all()


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        (r"an $O(n^{2})$ bound", "an O(n2) bound"),
        (r"\emph{deep} nets", "deep nets"),
        (r"for $\alpha_i \in \mathbb{R}$", "for i R"),
        (r"50\% of it", "50 of it"),
        ("no TeX, at all", "no TeX, at all"),
        ("", ""),
        ("$", ""),
        ("\\", "\\"),
    ],
)
def test_tex_is_removed(text: str, bare: str) -> None:
    assert one("TeX removed", text, text) == (bare, bare)


@given(title=st.text(), abstract=st.text())
def test_parts_are_removed(title: str, abstract: str) -> None:
    assert one("title only", title, abstract) == (title, "")
    assert one("abstract only", title, abstract) == ("", abstract)
    same, half = one("half an abstract", title, abstract)
    words = abstract.split()
    assert same == title
    assert half.split() == words[: len(half.split())]
    assert len(half.split()) == (len(words) + 1) // 2


@given(abstract=st.text(min_size=1), seed=SEEDS)
def test_boilerplate_follows_the_abstract(abstract: str, seed: int) -> None:
    title, text = one("boilerplate", TITLE, f"A{abstract}A", seed)
    assert title == TITLE
    assert text.startswith(f"A{abstract}A ")
    added = text.removeprefix(f"A{abstract}A ")
    assert sum(sentence in added for sentence in changes.BOILERPLATE) == changes.SENTENCES


def test_another_language_goes_word_by_word() -> None:
    title, text = one("another language", TITLE, ABSTRACT)
    assert title == r"Sur le Gröbner Base: un $\alpha_{i}$-robuste VIEW"
    assert text.startswith("Nous présentons un méthode pour grand problèmes.")
    assert r"\emph{profond} réseaux" in text


def test_the_glossary_has_a_word_for_each() -> None:
    words = changes.read_glossary()
    assert 500 <= len(words) <= 750
    for english, french in words.items():
        assert re.fullmatch("[a-z]+", english)
        assert re.fullmatch(r"[^\W\d_]+(-[^\W\d_]+)*", french), french
    assert len([word for word, other in words.items() if word == other]) < len(words) / 5


def test_the_share_of_words_in_french() -> None:
    assert changes.glossary_coverage(["We present zymurgy", "deep zymurgy"]) == pytest.approx(3 / 5)
    assert changes.glossary_coverage([""]) == 0


def test_keywords_are_added_at_the_end() -> None:
    assert changes.stuff_abstract("T", "An abstract.", ["robot", "lidar"]) == (
        "T", "An abstract. Keywords: robot, lidar.",
    )  # fmt: skip
    assert changes.stuff_abstract("T", "", ["robot"]) == ("T", "Keywords: robot.")
    assert changes.stuff_abstract("T", "An abstract.", []) == ("T", "An abstract.")
    assert changes.stuff_title("T", "A.", ["robot", "lidar"]) == (
        "T: robot, lidar", "A. Keywords: robot, lidar.",
    )  # fmt: skip
    assert changes.stuff_title("", "A.", ["robot"]) == ("robot", "A. Keywords: robot.")
    assert changes.stuff_title("T", "A.", []) == ("T", "A.")
