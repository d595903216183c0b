"""A trie of terms, and the words that are found without learning others."""

from __future__ import annotations

import numpy as np
import pytest

from shelfmark.tfidf import tokens
from shelfmark.tfidf.ngrams import Terms, Trie
from shelfmark.tfidf.tokens import KnownWords
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer


def test_a_large_vocabulary_is_found_as_a_small_one() -> None:
    vocabulary = {"a": 0, "a b": 1, "c": 2, "b c": 3}
    trie = Trie(Terms.of(vocabulary, 2), 1, 2)
    stream = np.array([trie.ranks.get(word, 0) for word in "a b c . b b c a .".split()], np.int32)
    rows = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1], np.int32)
    small = trie.find(stream, rows, 2)
    assert small.toarray().tolist() == [[1, 1, 1, 1], [1, 0, 1, 1]]
    trie.column_bits = 40  # as of so many terms: a row and a column need more than 31 bits
    large = trie.find(stream, rows, 2)
    assert (large != small).nnz == 0
    assert large.indices.dtype == small.indices.dtype


def test_the_most_frequent_of_the_words_with_one_slot_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "_SLOT_BITS", 3)
    words = [f"word{k}" for k in range(64)]
    times = np.random.default_rng(2).permutation(65)
    reader = FastTfidfVectorizer(stop_words=["word7"])._reader()
    assert reader is not None
    known = KnownWords(reader, {word: rank for rank, word in enumerate(words, 1)}, times)
    slots = tokens._Cut([" ".join(words).encode().replace(b" ", b"\0")], 2).slots[: len(words)]
    for slot in range(8):
        rivals = [k for k in np.flatnonzero(slots == slot).tolist() if k != 7]
        if slots[7] == slot:
            assert known.dropped[known.slots[slot]]
        else:
            assert known.ranks[known.slots[slot]] == 1 + max(rivals, key=lambda k: times[k + 1])
    ids = known.read_all([" ".join(words), "word3 word7 other"])
    assert known.ranks[ids].tolist() == [*(k for k in range(1, 65) if k != 8), 0, 4, 0, 0]
