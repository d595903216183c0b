"""The TF-IDF of texts with several fields, found in one walk: a title, and all of the text.

For one text, a walk takes a hundred steps of a microsecond each, whatever its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from types import SimpleNamespace

import numpy as np

from shelfmark.core.arrays import SmallInts, SparseRows
from shelfmark.tfidf.counts import FEW, NotExactError
from shelfmark.tfidf.ngrams import Trie, join_fields
from shelfmark.tfidf.tokens import END, KnownWords
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer
from shelfmark.tfidf.weights import matches_weights, weigh_in_place

ALIKE = ("norm", "use_idf", "sublinear_tf", "binary", "dtype")  # parameters of all fields


class FieldTerms:
    """The terms of fitted vectorizers, a field each, their columns side by side.

    Args:
        vectorizers: with the same parameters.

    Raises:
        NotExactError: their parameters differ, one is not fitted, or only scikit-learn's code reads
            its documents.
    """

    def __init__(self, vectorizers: Sequence[FastTfidfVectorizer]) -> None:
        if not all(map(_is_fitted, vectorizers)):
            raise NotExactError
        self._vocabularies = [vectorizer.vocabulary_ for vectorizer in vectorizers]
        caches = [vectorizer.ready() for vectorizer in vectorizers]
        first, cache = vectorizers[0], caches[0]
        if cache.reader is None or not cache.reader.word_size:
            raise NotExactError
        if any(other.parameters != cache.parameters for other in caches):
            raise NotExactError
        if any(getattr(other, name) != getattr(first, name)
               for other in vectorizers for name in ALIKE):  # fmt: skip
            raise NotExactError
        self._reader, self._binary, self._dtype = cache.reader, first.binary, first.dtype
        self._weights = SimpleNamespace(**vars(first.weights))
        if self._weights.use_idf:
            self._weights.idf_ = np.concatenate([one.weights.idf_ for one in vectorizers])
        self.trie = Trie(join_fields([one.split_terms() for one in caches]),
                         *cache.ngram_range)  # fmt: skip

    def is_of(self, vectorizers: Sequence[FastTfidfVectorizer]) -> bool:
        """Whether these are the terms of the vectorizers, which may have been fitted since."""
        pairs = zip(self._vocabularies, vectorizers, strict=True)
        return all(vars(one).get("vocabulary_") is known for known, one in pairs)

    def weigh(self, fields: Sequence[Sequence[str]]) -> SparseRows:
        """Return the TF-IDF of texts, to the last bit that of each vectorizer, side by side.

        Args:
            fields: the documents of all texts, field by field.
        """
        count, texts = len(fields), len(fields[0])
        tokens, numbers = self._read([*chain(*fields)])
        # A text's documents, one for each field, follow one another.
        places = np.arange(count * texts, dtype=np.int32).reshape(texts, count).T.ravel()
        words = np.repeat(np.arange(count, dtype=np.int32) * len(self.trie.ranks), texts)
        found = self.trie.count(tokens, tokens + words[numbers], places[numbers], count * texts)
        values = np.ones(len(found.values)) if self._binary else found.values
        rows = SimpleNamespace(
            shape=(count * texts, self.trie.n_terms), data=values.astype(self._dtype),
            indices=found.columns, indptr=found.bounds,
        )  # fmt: skip
        weigh_in_place(rows, self._weights)
        return SparseRows(rows.indices, rows.data, rows.indptr[::count])

    def _read(self, documents: Sequence[str]) -> tuple[SmallInts, SmallInts]:
        """Return the rank of each token, 0 for an end, and the number of its document."""
        if sum(map(len, documents)) > FEW:
            ids = self._known.read_all(documents)
            return self._known.ranks[ids], np.cumsum(ids == END, dtype=np.int32) - (ids == END)
        rank = self.trie.ranks.get
        words = [[*self._reader.tokens(document), ""] for document in documents]
        tokens = np.array([rank(word, 0) for word in chain(*words)], np.int32)
        return tokens, np.repeat(np.arange(len(words), dtype=np.int32), [*map(len, words)])

    @cached_property
    def _known(self) -> KnownWords:
        return KnownWords(self._reader, self.trie.ranks, self.trie.uses)


def _is_fitted(vectorizer: FastTfidfVectorizer) -> bool:
    return hasattr(vectorizer, "vocabulary_") and matches_weights(
        vectorizer.weights, len(vectorizer.vocabulary_)
    )
