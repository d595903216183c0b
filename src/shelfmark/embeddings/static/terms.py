"""The terms of a static encoder: the words of the training papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shelfmark.core.arrays import Ints
from shelfmark.errors import ShelfmarkError
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

if TYPE_CHECKING:
    import pyarrow as pa


def learn_terms(
    texts: pa.ChunkedArray, min_df: int, max_terms: int | None, threads: int
) -> tuple[FastTfidfVectorizer, Ints]:
    """Return a vectorizer of 1 + log(count), and how many texts have each of its terms.

    Args:
        texts: of the training papers, a column of the splits.
        min_df: fewest texts of a term.
        max_terms: number of the most frequent terms to keep, None for all.
        threads: that count.

    Raises:
        ShelfmarkError: no term is in so many texts.
    """
    vectorizer = FastTfidfVectorizer(
        strip_accents="unicode",
        min_df=min_df,
        max_features=max_terms,
        norm=None,
        use_idf=False,
        sublinear_tf=True,
        dtype=np.float32,
        n_jobs=threads,
    )
    try:
        counts = vectorizer.fit_transform(texts.to_pylist())
    except ValueError as error:
        raise ShelfmarkError(f"encoder.min_df={min_df}: no word is in so many papers") from error
    frequencies = np.bincount(counts.indices, minlength=counts.shape[1])
    vectorizer.n_jobs = None  # one: an encoder's threads are those of its texts
    return vectorizer, frequencies
