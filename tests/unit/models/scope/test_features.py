"""The columns of a text, against an implementation that reads it token by token."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shelfmark.models.scope import features
from shelfmark.models.scope.features import (
    COMMA,
    FIRST_ITEMS,
    FIRST_LENGTH,
    GRAMMAR,
    GRAMMAR_WORDS,
    HASHED,
    KNOWN,
    NUMBER,
    SIGN,
    STOP,
    UNKNOWN,
    VOCABULARY,
    WIDE,
    WIDTH,
)

KNOWN_WORDS = "robot arm grasping galaxy dust halo kernel prior data paper learning_rate"
ALL_BITS = (1 << 64) - 1
MIX = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xFF51AFD7ED558CCD


# --- token by token


def tokens_of(text: str) -> list[bytes]:
    """Return the words, which are runs of letters, digits and other alphabets, and the signs."""
    found: list[bytes] = []
    inside = False
    for byte in text.lower().encode("utf-8", "replace"):
        letter = byte > 127 or chr(byte).isalnum() or chr(byte) == "_"
        if letter and inside:
            found[-1] += bytes([byte])
        elif byte > 32 and byte != 127:
            found.append(bytes([byte]))
        inside = letter
    return found


def hash_of(token: bytes) -> int:
    head, tail = (int.from_bytes(token[begin : begin + 8], "little") for begin in (0, 8))
    mixed = head * MIX[0] & ALL_BITS ^ (tail + len(token)) * MIX[1] & ALL_BITS
    return (mixed ^ mixed >> 32) * MIX[2] & ALL_BITS


def column_of(number: int) -> int:
    return number >> 64 - 18


GRAMMAR_HASHES = {hash_of(word.encode()) >> 48 for word in GRAMMAR_WORDS.split()}


def kind_of(token: bytes, known: set[int]) -> int:
    first = chr(token[0])
    if token[0] > 127:
        return WIDE
    for signs, kind in ((",;", COMMA), (".!?", STOP), ("0123456789", NUMBER)):
        if first in signs:
            return kind
    if not (first.isalpha() or first == "_"):
        return SIGN
    if hash_of(token) >> 48 in GRAMMAR_HASHES:
        return GRAMMAR
    return KNOWN if hash_of(token) >> 44 in known else UNKNOWN


def most_commas(kinds: list[int]) -> int:
    """Return the commas of the longest row in which each is four tokens behind the last or less."""
    most = row = 0
    last = -100
    for place, kind in enumerate(kinds):
        if kind == COMMA:
            row = row + 1 if place - last <= 4 else 1
            most, last = max(most, row), place
    return min(most, 15)


def columns_of(text: str, known: set[int]) -> dict[int, float]:
    """Return the sum of each column that is not zero."""
    tokens = tokens_of(text)
    kinds = [kind_of(token, known) for token in tokens]
    size = max(len(tokens), 1)
    sums: Counter[int] = Counter()
    for place, token in enumerate(tokens):
        pattern = 0
        for kind in [*kinds, 0, 0, 0][place : place + 4]:
            pattern = 9 * pattern + kind
        sums[column_of(hash_of(token))] += 1
        sums[HASHED + pattern] += 1
        if place + 1 < len(tokens):
            both = hash_of(token) * MIX[1] + hash_of(tokens[place + 1])
            sums[column_of(both * MIX[0] & ALL_BITS)] += 1
    values = {column: number / math.sqrt(size) for column, number in sums.items()}
    values[FIRST_LENGTH + min(int(math.log2(size)), 11)] = 0.5
    values[FIRST_ITEMS + most_commas(kinds)] = 0.5
    return values


# --- against that


def vocabulary_of(words: str) -> Any:
    vocabulary = np.zeros(VOCABULARY, np.uint8)
    vocabulary[features.read_tokens([words]).places[1:]] = 1
    return vocabulary


VOCAB = vocabulary_of(KNOWN_WORDS)
PLACES = {hash_of(word.encode()) >> 44 for word in KNOWN_WORDS.split()}


def rows_of(texts: list[str]) -> list[dict[int, float]]:
    """Return the sum of each column that is not zero, of each text."""
    matrix = features.read_bag(texts, VOCAB).matrix
    assert matrix.shape == (len(texts), WIDTH)
    assert matrix.dtype == np.float32
    matrix.check_format()
    rows = []
    for number in range(len(texts)):
        sums: defaultdict[int, float] = defaultdict(float)
        part = slice(matrix.indptr[number], matrix.indptr[number + 1])
        for column, value in zip(matrix.indices[part], matrix.data[part].tolist(), strict=True):
            sums[int(column)] += value
        rows.append({column: value for column, value in sums.items() if value})
    return rows


PIECES = st.sampled_from([
    *KNOWN_WORDS.split(), "the", "of", "whereas", "Robot", "GALAXY", "zyx", "qwrt", "a" * 40,
    "antidisestablishmentarianism", "abcdefgh", "abcdefghi", "2024", "3d", "x_1", ",", ";", ", ",
    ".", "!", "(", "@", "$", "\\", "\0", "\x7f", "\n", "\t", " ", "  ", "é", "Łódź", "галактика",
    "星系", "🙂", "İ", "\ud800", "\u2028",
])  # fmt: skip
TEXTS = st.one_of(
    st.lists(PIECES, max_size=40).map("".join),
    st.lists(PIECES, max_size=40).map(" ".join),
    st.text(st.characters(), max_size=60),
)


@settings(max_examples=200)
@given(st.lists(TEXTS, max_size=6))
@example([])
@example([""])
@example(["", "robot", "   ", "\0\0", "", "dust"])
@example(["a" * 5000, ", " * 3000])
def test_the_columns_are_those_of_a_reading_token_by_token(texts: list[str]) -> None:
    for text, row in zip(texts, rows_of(texts), strict=True):
        assert row == pytest.approx(columns_of(text, PLACES), rel=1e-5)


@settings(max_examples=100)
@given(st.lists(TEXTS, max_size=6))
def test_different_known_and_unknown_words_are_counted(texts: list[str]) -> None:
    bag = features.read_bag(texts, VOCAB)
    for kind, counted in ((KNOWN, bag.known), (UNKNOWN, bag.unknown)):
        assert counted.tolist() == [
            len(
                {
                    hash_of(token) >> 44
                    for token in tokens_of(text)
                    if kind_of(token, PLACES) == kind
                }
            )
            for text in texts
        ]


@settings(max_examples=100)
@given(st.lists(TEXTS, min_size=2, max_size=6))
def test_a_row_is_the_same_alone_and_among_others(texts: list[str]) -> None:
    assert rows_of(texts) == [rows_of([text])[0] for text in texts]


@settings(max_examples=100)
@given(st.lists(TEXTS, max_size=6))
def test_the_tokens_of_texts_are_counted_and_owned(texts: list[str]) -> None:
    tokens = features.read_tokens(texts)
    sizes = [len(tokens_of(text)) for text in texts]
    assert tokens.counts.tolist() == sizes
    # A row of its own begins each text.
    owners = [place for place, size in enumerate(sizes) for _ in range(1 + size)]
    assert tokens.texts.tolist() == owners
    firsts = [first for text in texts for first in (0, *(token[0] for token in tokens_of(text)))]
    assert tokens.first.tolist() == firsts
    assert tokens.begins.tolist() == [place for place, first in enumerate(firsts) if not first]


def test_many_texts_are_read_at_once() -> None:
    texts = [f"{word} {'dust ' * (number % 7)}" for number in range(40)
             for word in KNOWN_WORDS.split()]  # fmt: skip
    rows = rows_of(texts)
    for number in range(0, len(texts), 37):
        assert rows[number] == pytest.approx(columns_of(texts[number], PLACES), rel=1e-5)


# --- by hand


def kinds_of(text: str) -> list[int]:
    start, *kinds = features.kinds_of(features.read_tokens([text]), VOCAB).tolist()
    assert start == 0
    return kinds


def test_each_kind_of_token() -> None:
    text = "The robot, zyx's 3d; 星 arm! A_b (_)"
    assert kinds_of(text) == [
        GRAMMAR, KNOWN, COMMA, UNKNOWN, SIGN, UNKNOWN, NUMBER, COMMA, WIDE, KNOWN, STOP, UNKNOWN,
        SIGN, UNKNOWN, SIGN,
    ]  # fmt: skip


def test_all_words_of_grammar_are_known_as_such_and_few_others() -> None:
    assert set(kinds_of(GRAMMAR_WORDS)) == {GRAMMAR}
    others = kinds_of(" ".join(f"word{number}x" for number in range(10_000)))
    assert others.count(GRAMMAR) < 50


def test_case_has_no_say() -> None:
    assert rows_of(["ROBOT Arm, Łódź"]) == rows_of(["robot arm, łódź"])


@pytest.mark.parametrize("text", ["", " ", " \n\t ", "\0", "\x7f\x01"])
def test_a_text_of_no_tokens_has_the_columns_of_a_text_alone(text: str) -> None:
    assert rows_of([text]) == [{FIRST_LENGTH: 0.5, FIRST_ITEMS: 0.5}]
    bag = features.read_bag([text], VOCAB)
    assert (bag.known.tolist(), bag.unknown.tolist()) == ([0], [0])


def items_column(text: str) -> int:
    (column,) = [column for column in rows_of([text])[0] if column >= FIRST_ITEMS]
    return int(column - FIRST_ITEMS)


@pytest.mark.parametrize("commas", [0, 1, 2, 7, 14, 15, 16, 60])
@pytest.mark.parametrize("item", ["dust", "robot arm", "halo (dust"])
def test_a_list_has_the_column_of_its_commas(commas: int, item: str) -> None:
    assert items_column(", ".join([item] * (commas + 1))) == min(commas, 15)


def test_a_row_of_items_ends_at_a_long_one_and_with_the_text() -> None:
    assert items_column("dust, halo, a kernel and a prior, data, arm") == 2
    assert items_column("the robot and its arm, the halo and its dust, data") == 1
    texts = ["dust, halo,", "arm, data, prior"]
    matrix = features.read_bag(texts, VOCAB).matrix.toarray()
    assert matrix[:, FIRST_ITEMS:].argmax(axis=1).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("words", "column"), [(1, 0), (2, 1), (3, 1), (4, 2), (1023, 9), (1024, 10), (9999, 11)]
)
def test_the_length_is_a_power_of_two(words: int, column: int) -> None:
    (row,) = rows_of(["dust " * words])
    assert [place for place in row if FIRST_LENGTH <= place < FIRST_ITEMS] == [
        FIRST_LENGTH + column
    ]


def test_the_order_of_words_is_seen() -> None:
    one, other = rows_of(["robot arm", "arm robot"])
    assert one != other
    shared = set(one) & set(other)
    assert {column_of(hash_of(word)) for word in (b"robot", b"arm")} <= shared


def test_of_a_very_long_word_the_first_letters_and_the_length_count() -> None:
    words = ["a" * 16 + end for end in ("bc", "de", "b")]
    tokens = features.read_tokens(words)
    columns = tokens.hashes[tokens.begins + 1]
    assert columns[0] == columns[1]
    assert columns[0] != columns[2]
