"""A corpus in parts, and the fields of its papers of which the terms are learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Protocol

from shelfmark.core.arrays import SmallInts
from shelfmark.errors import ShelfmarkError
from shelfmark.tfidf.ngrams import Limits
from shelfmark.tfidf.tokens import Reader
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

NO_CLASS = -1  # of a paper


class CorpusPart(Protocol):
    """A part of a corpus. It is pickled, and read in worker processes, more than once."""

    def read(self) -> tuple[list[str], SmallInts]:
        """Return the texts, and the class of each, int32 of shape (texts,); -1 is no class."""


@dataclass(frozen=True)
class Field:
    """A field of the papers, such as their texts or their titles.

    Args:
        name: for errors.
        vectorizer: how the field is read, and which of its terms are kept; not fitted.
        extract: returns the documents of the field from the texts, a function of the top level of
            a module; None if the documents are the texts.
        optional: whether a field without terms is no error.
    """

    name: str
    vectorizer: FastTfidfVectorizer
    extract: Callable[[Sequence[str]], list[str]] | None = None
    optional: bool = False

    def documents(self, texts: list[str]) -> list[str]:
        """Return the documents of the field, one for each text."""
        return texts if self.extract is None else self.extract(texts)

    def reader(self) -> Reader:
        """Return the reader of the documents.

        Raises:
            ShelfmarkError: only scikit-learn's code can read them, or the terms are given.
            ValueError: a parameter of the vectorizer is invalid.
        """
        self.vectorizer._validate_params()
        self.vectorizer._validate_ngram_range()
        reader = self.vectorizer._reader()
        if reader is None or self.vectorizer.vocabulary is not None:
            raise ShelfmarkError(
                f"the vectorizer of the {self.name} should learn n-grams of words from strings, by "
                "its token_pattern, with dtype float32 or float64: others are not learnt in parts"
            )
        return reader

    def limits(self, documents: int) -> Limits:
        """Return the limits of the terms in so many documents."""
        own = self.vectorizer
        low, high = (
            float(df if isinstance(df, Integral) else df * documents)
            for df in (own.min_df, own.max_df)
        )
        n_min, n_max = own.ngram_range
        return Limits(n_min, n_max, low, high)

    @property
    def limited(self) -> bool:
        """Whether only the most frequent terms of the field are kept."""
        return self.vectorizer.max_features is not None

    @property
    def counts_times(self) -> bool:
        """Whether the choice of terms needs how often each occurs, not only in how many papers."""
        return self.limited and not self.vectorizer.binary
