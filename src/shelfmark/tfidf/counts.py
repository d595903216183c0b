"""What an exact TF-IDF counts, and keeps, just as scikit-learn does it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, repeat
from types import SimpleNamespace
from typing import Any

import numpy as np

from shelfmark.core.arrays import SmallInts
from shelfmark.tfidf.ngrams import Grams, Limits, count_grams
from shelfmark.tfidf.tokens import END, FIRST, Known, Reader, Stream, read
from shelfmark.tfidf.trie import Terms, Trie

UP_TO_SPACE = re.compile("[\0- ]")


class NotExactError(Exception):
    """The documents hold something that only scikit-learn's code gets right."""


@dataclass(frozen=True)
class Ready:
    """What one call of `transform` leaves to the next."""

    parameters: tuple[Any, ...]
    vocabulary: dict[str, int]
    reader: Reader | None
    ngram_range: tuple[int, int]
    terms: Terms | None = None  # those of the vocabulary, where they are known

    @cached_property
    def trie(self) -> Trie:
        """The vocabulary for many documents. Raises `NotExactError`."""
        n_min, n_max = self.ngram_range
        terms = vars(self).pop("terms", None)  # large, and asked for once
        if terms is None and set(map(type, self.vocabulary)) != {str}:
            raise NotExactError
        return Trie(terms or Terms.of(self.vocabulary, n_max), n_min, n_max)

    @cached_property
    def known(self) -> Known | None:
        """The words of the vocabulary, where they are found without learning others."""
        assert self.reader is not None
        return Known(self.reader, self.trie.ranks) if self.reader.word_size else None

    def ranked(self, documents: Sequence[str], jobs: int) -> tuple[SmallInts, SmallInts]:
        """The stream of documents, and the rank of each of its numbers."""
        if self.known is not None:
            return self.known.read_all(documents, jobs), self.known.ranks
        assert self.reader is not None
        stream = read(documents, self.reader, jobs)
        check_words(stream, self.reader, self.ngram_range[1])
        ranks = [0] * FIRST + [self.trie.ranks.get(name, 0) for name in stream.names]
        return stream.ids, np.array(ranks, np.int32)

    def counts(self, document: str) -> dict[int, int]:
        """The count of each term of one document, by its column."""
        assert self.reader is not None
        n_min, n_max = self.ngram_range
        tokens = self.reader.tokens(document)
        terms = list(tokens) if n_min == 1 else []
        for n in range(max(n_min, 2), n_max + 1):
            terms.extend(map(" ".join, zip(*(tokens[i:] for i in range(n)), strict=False)))
        counts: dict[Any, int] = Counter(map(self.vocabulary.get, terms))
        counts.pop(None, None)
        return counts

    def rows(self, documents: Sequence[str], binary: bool, dtype: Any) -> SimpleNamespace:
        """The arrays and the shape of a CSR: the terms of a few documents."""
        counts = [self.counts(document) for document in documents]
        order = [sorted(row) for row in counts]
        X = SimpleNamespace(shape=(len(counts), len(self.vocabulary)))
        X.indices = np.array([*chain(*order)], np.int32)
        X.indptr = np.array([0, *accumulate(map(len, counts))], np.int32)
        data = chain(
            *(map(row.__getitem__, columns) for row, columns in zip(counts, order, strict=True))
        )
        X.data = np.fromiter(repeat(1) if binary else data, dtype, len(X.indices))
        return X


def count(
    documents: Sequence[str], reader: Reader, limits: Limits, jobs: int = 1
) -> tuple[list[str], Grams]:
    """The words of documents by rank, and the n-grams of them that are within the limits.

    Raises `NotExactError` if there is no n-gram at all, and as `check_words` and `count_grams`.
    """
    stream = read(documents, reader, jobs)
    check_words(stream, reader, limits.n_max)
    if longest(stream) < limits.n_min:
        raise NotExactError  # the error is scikit-learn's
    ranks, words = rank(stream, limits.low)
    return words, count_grams(*positions(stream.ids, ranks), len(words), limits, jobs)


def longest(stream: Stream) -> int:
    """The most tokens that a document has."""
    ends = np.flatnonzero(stream.ids == END)
    return int(np.diff(ends, prepend=-1).max(initial=1)) - 1


def rank(stream: Stream, low: float) -> tuple[SmallInts, list[str]]:
    """The rank of each token, 0 if it is too rare, and the words by rank.

    No term has a word that comes less often than in `low` documents.
    """
    times = np.bincount(stream.ids, minlength=len(stream.names) + FIRST)[FIRST:]
    often = np.flatnonzero(times >= max(low, 1)).tolist()
    order = sorted(often, key=stream.names.__getitem__)
    ranks = np.zeros(len(times) + FIRST, np.int32)
    ranks[np.array(order, np.intp) + FIRST] = np.arange(1, len(order) + 1)
    return ranks, [stream.names[i] for i in order]


def most_frequent(times: Any, limit: int, dtype: Any) -> Any:
    """Which terms scikit-learn keeps, those of equal frequency included.

    It leaves them to an unstable sort: only the same numbers in the same order
    and of the same type give the same choice. Raises `NotExactError` where its sums
    of float32 would not be whole numbers.
    """
    if times.max() > 1 << 24 and np.dtype(dtype) != np.float64:
        raise NotExactError
    kept = np.zeros(len(times), np.bool_)
    kept[(-times.astype(dtype)).argsort()[:limit]] = True
    return kept


def exact_strings(documents: list[Any]) -> list[str]:
    """The documents as exact strings. Raises `NotExactError` if they are not, or none."""
    kinds = set(map(type, documents))
    if not kinds or not kinds <= {str, np.str_}:
        raise NotExactError
    return documents if kinds == {str} else list(map(str, documents))


def check_words(stream: Stream, reader: Reader, n_max: int) -> None:
    """Raise `NotExactError` where n-grams of different words may be one string.

    The same check makes sure that n-grams sort as tuples of words do.
    """
    if n_max > 1 and not reader.word_size and any(map(UP_TO_SPACE.search, stream.names)):
        raise NotExactError


def positions(ids: SmallInts, ranks: SmallInts) -> tuple[SmallInts, SmallInts]:
    """The rank of each token of a stream, 0 for an end, and its document."""
    return ranks[ids], np.cumsum(ids == END, dtype=np.int32)
