"""The vocabularies of the fields of a corpus: their terms chosen, their vectorizers fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from shelfmark.core.arrays import Array, Doubles
from shelfmark.tfidf.corpus.fields import Field
from shelfmark.tfidf.corpus.merging import RangeTerms
from shelfmark.tfidf.counts import NotExactError, keep_most_frequent
from shelfmark.tfidf.ngrams import Grams
from shelfmark.tfidf.terms import TermList
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer
from shelfmark.tfidf.weights import inverse_frequencies

Flags = NDArray[np.bool_]

NO_GRAM = "empty vocabulary; perhaps the documents only contain stop words"
NO_RANGE = "max_df corresponds to < documents than min_df"
NO_TERM = "After pruning, no terms remain. Try a lower min_df or a higher max_df."


def check_limits(field: Field, documents: int, longest: int) -> None:
    """Check that a field has an n-gram, and that its limits allow one.

    Args:
        field: to learn.
        documents: how many there are.
        longest: the number of words of the longest document.

    Raises:
        ValueError: it has none, with the text of scikit-learn's error.
    """
    limits = field.limits(documents)
    if longest < limits.n_min:
        raise ValueError(NO_GRAM)
    if limits.high < limits.low:
        raise ValueError(NO_RANGE)


def choose_frequent(field: Field, times: Sequence[Array]) -> list[Flags]:
    """Return which terms of each range stay by `max_features`, one flag for each term.

    Of terms that are equally frequent at the limit, the fit in memory keeps those that an unstable
    sort puts first; they are the same here. Beyond 2 ** 24 occurrences of one term it adds
    rounded numbers; here the sums are exact.

    Args:
        field: of the terms.
        times: for each range, how often its terms occur.
    """
    limit = field.vectorizer.max_features
    every = np.concatenate(times)
    if limit is None or len(every) <= limit:
        return [np.ones(len(one), np.bool_) for one in times]
    try:
        kept = keep_most_frequent(every, limit, field.vectorizer.dtype)
    except NotExactError:
        kept = keep_most_frequent(every, limit, np.float64)
    return _by_range(kept, times)


def choose_terms(worth: Sequence[Doubles], max_terms: int) -> list[Flags]:
    """Return which terms of each range are among the best, one flag for each term.

    Of terms of the same worth at the limit, the first stay.

    Args:
        worth: of the terms of each range, of all fields.
        max_terms: how many stay.
    """
    every = np.concatenate([np.zeros(0), *worth])
    if len(every) <= max_terms:
        return [np.ones(len(one), np.bool_) for one in worth]
    least = np.partition(every, len(every) - max_terms)[len(every) - max_terms]
    kept = every > least
    kept[np.flatnonzero(every == least)[: max_terms - int(kept.sum())]] = True
    return _by_range(kept, worth)


def _by_range(kept: Flags, ranges: Sequence[Array]) -> list[Flags]:
    return np.split(kept, np.cumsum([len(one) for one in ranges])[:-1])


def build_vectorizer(
    field: Field, names: list[str], ranges: Sequence[RangeTerms], documents: int
) -> FastTfidfVectorizer | None:
    """Return the fitted vectorizer of a field, None if it has no term and is optional.

    Args:
        field: of the terms.
        names: the words by rank.
        ranges: the terms that are kept, range by range.
        documents: how many there are.

    Raises:
        ValueError: there is no term, and the field is not optional.
    """
    df = np.concatenate([one.df for one in ranges])
    if not len(df):
        if field.optional:
            return None
        raise ValueError(NO_TERM)
    places = [np.concatenate(place) for place in zip(*(one.places for one in ranges), strict=True)]
    empty = np.zeros(0, np.int32)
    terms = Grams(places, df, empty, empty, empty).terms(names)
    fitted: FastTfidfVectorizer = clone(field.vectorizer)
    idf = inverse_frequencies(df, documents, fitted.smooth_idf, fitted.dtype)
    return fitted.set_terms(TermList.of(terms), idf if fitted.use_idf else None)
