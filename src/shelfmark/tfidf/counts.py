"""Count and choose the terms of documents with the results of scikit-learn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, repeat
from types import SimpleNamespace
from typing import Any

import numpy as np

from shelfmark.core.arrays import SmallInts
from shelfmark.tfidf.ngrams import Grams, Limits, Terms, Trie, count_grams
from shelfmark.tfidf.terms import TermList
from shelfmark.tfidf.tokens import END, FIRST, KnownWords, Reader, Stream, read_stream

UP_TO_SPACE = re.compile("[\0- ]")
FEW = 2500  # characters up to which a dict is faster than arrays


class NotExactError(Exception):
    """Only scikit-learn's code counts these documents correctly."""


@dataclass(frozen=True)
class TransformCache:
    """State that a call of `transform` leaves to the next."""

    parameters: tuple[Any, ...]
    vocabulary: Mapping[str, int]
    reader: Reader | None
    ngram_range: tuple[int, int]
    terms: Terms | None = None  # of the vocabulary, if known

    @cached_property
    def trie(self) -> Trie:
        """The vocabulary as a trie, for many documents.

        Raises:
            NotExactError: a term is not a `str`.
        """
        n_min, n_max = self.ngram_range
        terms = vars(self).pop("terms", None)  # large, and used once
        return Trie(terms or self.split_terms(), n_min, n_max)

    def split_terms(self) -> Terms:
        """Return the terms of the vocabulary as numbers.

        Raises:
            NotExactError: a term is not a `str`.
        """
        n_max = self.ngram_range[1]
        if isinstance(self.vocabulary, TermList):
            if n_max > 1 and (stream := self.vocabulary.split()) is not None:
                return Terms.of_stream(stream, n_max)
        elif set(map(type, self.vocabulary)) != {str}:
            raise NotExactError
        return Terms.of(self.vocabulary, n_max)

    @cached_property
    def known(self) -> KnownWords | None:
        """The words of the vocabulary, if they can be found without learning others."""
        assert self.reader is not None
        if not self.reader.word_size:
            return None
        return KnownWords(self.reader, self.trie.ranks, self.trie.uses)

    def rank_stream(self, documents: Sequence[str], jobs: int) -> tuple[SmallInts, SmallInts]:
        """Return the stream of documents, and the rank of each of its numbers."""
        if self.known is not None:
            return self.known.read_all(documents, jobs), self.known.ranks
        assert self.reader is not None
        stream = read_stream(documents, self.reader, jobs)
        check_words(stream, self.reader, self.ngram_range[1])
        ranks = [0] * FIRST + [self.trie.ranks.get(name, 0) for name in stream.names]
        return stream.ids, np.array(ranks, np.int32)

    def counts(self, document: str) -> dict[int, int]:
        """Return the count of each term of one document, by its column."""
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
        """Return the arrays and the shape of a CSR with the terms of a few documents."""
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


def count_terms(
    documents: Sequence[str], reader: Reader, limits: Limits, jobs: int = 1
) -> tuple[list[str], Grams]:
    """Return the words of documents by rank, and their n-grams within the limits.

    Raises:
        NotExactError: there is no n-gram, or as `check_words`.
        TooManyGramsError: as `count_grams`.
    """
    stream = read_stream(documents, reader, jobs)
    check_words(stream, reader, limits.n_max)
    if longest_document(stream) < limits.n_min:
        raise NotExactError  # the error is scikit-learn's
    ranks, words = rank_tokens(stream, limits.low)
    return words, count_grams(*token_positions(stream.ids, ranks), len(words), limits, jobs)


def longest_document(stream: Stream) -> int:
    """Return the number of tokens of the longest document."""
    ends = np.flatnonzero(stream.ids == END)
    return int(np.diff(ends, prepend=-1).max(initial=1)) - 1


def rank_tokens(stream: Stream, low: float) -> tuple[SmallInts, list[str]]:
    """Return the rank of each token, 0 if it is too rare, and the words by rank.

    No term has a word that occurs in fewer than `low` documents.
    """
    times = np.bincount(stream.ids, minlength=len(stream.names) + FIRST)[FIRST:]
    often = np.flatnonzero(times >= max(low, 1)).tolist()
    order = sorted(often, key=stream.names.__getitem__)
    ranks = np.zeros(len(times) + FIRST, np.int32)
    ranks[np.array(order, np.intp) + FIRST] = np.arange(1, len(order) + 1)
    return ranks, [stream.names[i] for i in order]


def keep_most_frequent(times: Any, limit: int, dtype: Any) -> Any:
    """Return which terms scikit-learn keeps, also among those of equal frequency.

    Its sort is unstable: only the same numbers in the same order and of the same type give the same
    choice.

    Raises:
        NotExactError: its sums of float32 would not be whole numbers.
    """
    if times.max() > 1 << 24 and np.dtype(dtype) != np.float64:
        raise NotExactError
    kept = np.zeros(len(times), np.bool_)
    kept[(-times.astype(dtype)).argsort()[:limit]] = True
    return kept


def require_strings(documents: list[Any]) -> list[str]:
    """Return the documents as `str`.

    Raises:
        NotExactError: a document is of another type, or there are no documents.
    """
    kinds = set(map(type, documents))
    if not kinds or not kinds <= {str, np.str_}:
        raise NotExactError
    return documents if kinds == {str} else list(map(str, documents))


def check_words(stream: Stream, reader: Reader, n_max: int) -> None:
    """Check that n-grams of different words are different strings, and sort as their words do.

    Raises:
        NotExactError: a word holds a space or a control character.
    """
    if n_max > 1 and not reader.word_size and any(map(UP_TO_SPACE.search, stream.names)):
        raise NotExactError


def token_positions(ids: SmallInts, ranks: SmallInts) -> tuple[SmallInts, SmallInts]:
    """Return the rank of each token of a stream, 0 for an end, and its document."""
    return ranks[ids], np.cumsum(ids == END, dtype=np.int32)
