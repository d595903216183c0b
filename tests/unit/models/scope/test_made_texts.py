"""Texts that are no abstracts: each kind is made of any paper, and is what its name says."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfmark.data.sources import sample
from shelfmark.models.scope import made_texts
from shelfmark.models.scope.made_texts import ALPHABETS, GRAMMAR, MADE, Source, make_texts

PAPERS = [(paper.title, paper.abstract) for _, paper in sample.read_records(None, 240)]
ODD = [
    ("", ""), ("", "word"), ("Title", ""), ("12 + 3 = 15", "$$ 4 5 6 $$"), ("a", "I"), ("é", "ü ö"),
    ("of", "the of and"), ("\0", "\0\0"), ("x" * 300, "y" * 300), (" ", "\n\n"), ("星系", "星 系"),
]  # fmt: skip


def source_of(paper: tuple[str, str], seed: object) -> Source:
    rng = random.Random(f"{seed}")
    terms = Source(*PAPERS[0], (), rng).pick(16)
    return Source(*paper, terms, rng)


def made(kind: str, papers: int = len(PAPERS)) -> list[tuple[str, str, str]]:
    """Return title and abstract of papers, each with a text of a kind made from it."""
    some = PAPERS[:papers]
    return [
        (*paper, MADE[kind](Source(*paper, ["other", "term"], random.Random(number))))
        for number, paper in enumerate(some)
    ]


def test_every_kind_appears_in_turn() -> None:
    assert [kind for kind, _ in make_texts(PAPERS, 1, "train")] == [
        [*MADE][number % len(MADE)] for number in range(len(PAPERS))
    ]


def test_texts_are_the_same_for_a_seed_and_a_salt() -> None:
    texts = make_texts(PAPERS, 1, "train")
    assert make_texts(PAPERS, 1, "train") == texts
    for other in (make_texts(PAPERS, 2, "train"), make_texts(PAPERS, 1, "test")):
        same = sum(one == two for one, two in zip(texts, other, strict=True))
        assert same < len(PAPERS) / 20


def test_a_text_depends_on_its_paper_and_one_other_alone() -> None:
    texts = make_texts(PAPERS, 1, "train")
    changed = make_texts([("Another title", "Another abstract."), *PAPERS[1:]], 1, "train")
    differ = [number for number, pair in enumerate(zip(texts, changed, strict=True))
              if pair[0] != pair[1]]  # fmt: skip
    assert differ[0] == 0
    assert len(differ) < 5


def test_no_papers_make_no_texts() -> None:
    assert make_texts([], 1, "train") == []


@pytest.mark.parametrize("kind", MADE)
def test_a_text_differs_from_its_paper(kind: str) -> None:
    for title, abstract, text in made(kind):
        plain = {" ".join(one.split()) for one in (f"{title} {abstract}", title, abstract)}
        assert " ".join(text.split()) not in plain


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("paper", ODD)
@pytest.mark.parametrize("terms", [["halo"], ["star dust", "halo"] * 8])
def test_any_paper_makes_a_text(kind: str, paper: tuple[str, str], terms: list[str]) -> None:
    for seed in range(60):  # all styles of the kind
        text = MADE[kind](Source(*paper, terms, random.Random(seed)))
        if kind not in ("another language than English", "words without sentences"):
            assert text.strip()
        text.encode()


@settings(max_examples=100)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=80)), min_size=1, max_size=13))
def test_any_papers_make_as_many_texts(papers: list[tuple[str, str]]) -> None:
    assert len(make_texts(papers, 0, "any")) == len(papers)


# --- what the kinds are


def test_an_address_has_a_slash_an_at_a_number_or_a_domain() -> None:
    for _, _, text in made("an address"):
        assert re.search(r"[/@\d]|www\.\w+\.\w+", text)
        assert not re.search(r"\. [A-Z]", text.replace(". +", "")), "no sentences"


def test_a_list_has_separators() -> None:
    for _, _, text in made("a list"):
        if "[1]" in text:
            assert text.count("[") >= 2
            assert re.search(r"\((19|20)\d\d\)", text)
        else:
            assert len(re.findall(r"[,;|/]| - |^- |\d+\. ", text)) >= 3


def test_the_terms_of_a_list_are_those_of_the_paper() -> None:
    for title, abstract, text in made("a list"):
        if text.startswith("Keywords: "):
            words = set(made_texts.WORD.findall(f"{title} {abstract}"))
            assert set(text[:-1].removeprefix("Keywords: ").replace(",", "").split()) <= words


def test_code_has_signs_that_prose_lacks() -> None:
    for _, _, text in made("code or data"):
        assert len(re.findall(r"[{}()=<>;\\$\[\]]|--", text)) >= 2


def test_a_stuffed_text_holds_the_paper_with_terms_of_another_or_repeats_few_words() -> None:
    repeated = 0
    for title, abstract, text in made("a text stuffed with keywords"):
        words, own = text.split(), f"{title} {abstract}".split()
        if "term" in words or "term." in words or "term\n" in text:
            assert len(words) > len(own)
            assert sum((Counter(own) - Counter(words)).values()) <= 3, "all of the paper is there"
        else:
            repeated += 1
            assert len(set(words)) <= 10
            assert len(words) >= 10
    assert 0 < repeated < len(PAPERS) / 2


def test_another_language_has_almost_no_words_of_english_grammar() -> None:
    before, after = Counter[bool](), Counter[bool]()
    for title, abstract, text in made("another language than English"):
        for counts, one in ((before, f"{title} {abstract}"), (after, text)):
            counts.update(word in GRAMMAR for word in re.findall("[a-z]+", one.lower()))
    # A made word of two letters may be one of them by chance.
    assert after[True] < 0.08 * before[True]


def test_some_texts_are_in_other_alphabets() -> None:
    texts = [text for _, _, text in made("another language than English")]
    other = [text for text in texts if not re.search("[a-z]", text)]
    assert 0.1 < len(other) / len(texts) < 0.35
    for text in other:
        letters = {ord(letter) for letter in text} - {ord(" ")}
        assert any(all(first <= x <= last for x in letters) for first, last in ALPHABETS)


def test_a_word_of_another_language_always_becomes_the_same_word() -> None:
    source = Source("Of the and", "the of the and the", (), random.Random(3))
    text = made_texts.make_foreign(source)
    one, two, three, *rest = text.split()
    assert rest == [two, one, two, three, two]


def shuffled(text: str, words: list[str]) -> bool:
    return Counter(text.split()) == Counter(words) and text.split() != words


def without_grammar(text: str, words: list[str]) -> bool:
    return bool(text) and not any(word.lower() in GRAMMAR for word in text.split())


def of_random_letters(text: str, words: list[str]) -> bool:
    return not re.search("[^a-z ]", text) and len(set(text.split()) & set(words)) < 5


def mixed(text: str, words: list[str]) -> bool:
    return len(text.split()) >= 10 and set(text.split()) <= {*words, "other", "term"}


SALADS: list[Callable[[str, list[str]], bool]] = [
    shuffled, of_random_letters, without_grammar, mixed,
]  # fmt: skip


def test_a_salad_is_shuffled_or_mixed_words_or_random_letters() -> None:
    seen: Counter[str] = Counter()
    for title, abstract, text in made("words without sentences"):
        kinds = [kind.__name__ for kind in SALADS if kind(text, f"{title} {abstract}".split())]
        assert kinds
        seen.update(kinds[:1])
    assert len(seen) == len(SALADS)
    assert min(seen.values()) > 20


# --- the parts


def test_the_words_of_a_paper_are_none_of_grammar() -> None:
    source = source_of(("The star of a halo", "It is in-between, with 3 x2."), 1)
    assert source.words() == ["star", "halo", "in-between"]
    assert source.words(5) == ["star", "halo", "in-between"] * 2
    assert source_of(("", "of the"), 1).words(3) == ["paper"] * 3


@settings(max_examples=100)
@given(st.integers(-5, 5), st.integers(0, 8), st.integers())
def test_a_number_between_two_may_be_any_of_them(least: int, more: int, seed: int) -> None:
    source = source_of(("a", "b"), seed)
    drawn = {source.between(least, least + more) for _ in range(300)}
    assert drawn == set(range(least, least + more + 1))


def test_picked_terms_are_neighbours_in_the_paper() -> None:
    words = ["star", "halo", "dust", "ring", "disk"]
    for seed in range(50):
        terms = source_of(("", " ".join(words)), seed).pick(3)
        assert len(terms) == 3
        assert all(" ".join(words).find(term) >= 0 for term in terms)
