"""The words of texts: equal words have equal hashes, whatever stands around them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shelfmark.search.words.terms import LONGEST, STOP_WORDS, hash_words

TEXTS = st.text(alphabet="aesixhy-s $_{}^\\.,'0é–αß\n\0\u0301", max_size=60)


def words(text: str) -> Counter[int]:
    return Counter(hash_words([text]).hashes.tolist())


def word(text: str) -> int:
    """Return the hash of a text of one word."""
    (only,) = words(text).elements()
    return only


def split_plainly(text: str) -> list[str]:
    """Return the words of a text of ASCII without TeX, one after the other."""
    found = []
    for compound in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text.lower()):
        parts = compound.split("-")
        found += parts + ["".join(parts)] * (len(parts) > 1)
    return [one for one in map(cut_plural, found) if len(one) > 1]


def cut_plural(word: str) -> str:
    if len(word) < 4 or word[-1] != "s":
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("xes", "hes", "sses")):
        return word[:-2]
    return word if word[-2] in "sui" else word[:-1]


@given(st.text(alphabet="aesixhy-s .,'0\n", max_size=LONGEST))
@example("a-b--c -d e- f-g-h")
@example("yyyyyyyies classes boxes matches sizes theories -ies")
def test_the_words_are_those_of_a_plain_loop(text: str) -> None:
    plain = [one for one in split_plainly(text) if one not in STOP_WORDS.split()]
    assert words(text) == Counter(map(word, plain))


@given(st.lists(TEXTS, max_size=6))
def test_a_text_has_the_same_words_alone_and_among_others(texts: list[str]) -> None:
    together = hash_words(texts)
    alone = [hash_words([text]) for text in texts]
    assert together.counts.tolist() == [int(one.counts[0]) for one in alone]
    joined = np.concatenate([np.empty(0, np.uint64), *(one.hashes for one in alone)])
    assert together.hashes.tolist() == joined.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Networks", "network"),
        ("theories", "theory"),
        ("classes", "class"),
        ("boxes", "box"),
        ("branches", "branch"),
        ("sizes", "size"),
        ("Schrödinger", "schrodinger"),
        ("Schro\u0308dinger", "schrodinger"),
        (r"Schr\"odinger", "schrodinger"),
        (r"Erd\H{o}s", "erdős"),
        ("Møller", "moller"),
        ("Hyvärinen–Straße", "hyvarinen-strasse"),
        ("Navier\u2013Stokes", "Navier-Stokes"),
        ("H$_{2}$O", "H2O"),
        ("H$_2$O", "h₂o"),
        (r"\mathbb{R}^{3}", "mathbb R3"),
        ("ﬁeld", "field"),
        ("meta\u00adanalysis", "metaanalysis"),
    ],
)
def test_spellings_of_a_word_are_the_same(one: str, other: str) -> None:
    assert words(one) == words(other) != Counter()


@pytest.mark.parametrize(
    ("one", "other"),
    [("axis", "axi"), ("class", "clas"), ("abcdefgh1", "abcdefgh2"), ("virus", "viru")],
)
def test_different_words_differ(one: str, other: str) -> None:
    assert word(one) != word(other)


def test_a_compound_is_found_by_its_parts_and_as_one_word() -> None:
    compound = words("multi-scale")
    assert compound == words("multi scale multiscale")
    assert words("state-of-the-art") == words("state art stateoftheart")


@pytest.mark.parametrize("text", ["", "the of AND", "x y 7", "- -- $ ^ {}", "\0\n"])
def test_a_text_of_no_word_that_counts_has_none(text: str) -> None:
    found = hash_words([text, "word", text])
    assert found.counts.tolist() == [0, 1, 0]


def test_no_stop_word_counts() -> None:
    assert words(STOP_WORDS) == Counter()
    assert words(STOP_WORDS.upper() + " graph") == words("graph")


def test_a_word_has_the_same_hash_in_every_process() -> None:
    code = (
        "from shelfmark.search.words.terms import hash_words as h; print(*h(['café tree']).hashes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert list(map(int, done.stdout.split())) == [word("cafe"), word("trees")]
    assert word("tree") == 6079985035558851610


def test_only_the_first_letters_of_a_word_without_end_count() -> None:
    long = "a" * LONGEST
    assert word(long + "b") == word(long + "c") == word(long) != word(long[1:])
