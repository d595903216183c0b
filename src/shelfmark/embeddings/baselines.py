"""The baselines beside every encoder: TF-IDF cosine, and its latent semantic analysis (LSA).

They are fitted where they are needed and never saved. Their `encode` is that of the protocol,
except that the vectors of TF-IDF are sparse.

Source: Deerwester et al. 1990, Indexing by latent semantic analysis.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize

from shelfmark.core.arrays import Floats
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

SIZE = 256  # numbers of a vector of LSA


class TfidfBaseline:
    """TF-IDF vectors of words, sublinear, of unit length.

    Args:
        vectorizer: a fitted one.
        seconds: that the fit took.
    """

    name = "TF-IDF"

    def __init__(self, vectorizer: FastTfidfVectorizer, seconds: float) -> None:
        self.vectorizer = vectorizer
        self.seconds = seconds

    @classmethod
    def fit(cls, texts: Sequence[str], threads: int | None = None) -> Self:
        """Fit on texts, with all words that at least two of them have.

        Args:
            texts: cleaned, as `join_texts` joins them.
            threads: how many it uses, None for one a core.
        """
        started = time.perf_counter()
        vectorizer = FastTfidfVectorizer(
            min_df=min(2, len(texts)), sublinear_tf=True, dtype=np.float32, n_jobs=threads or -1
        )
        vectorizer.fit(list(texts))
        return cls(vectorizer, time.perf_counter() - started)

    @property
    def size(self) -> int:
        """The numbers of a vector, most of them zero."""
        return len(self.vectorizer.vocabulary_)

    def encode(self, texts: Sequence[str]) -> sp.csr_matrix:
        """Return the vectors of texts, float32 of shape (texts, size)."""
        return self.vectorizer.transform(list(texts))


class LsaBaseline:
    """The first singular vectors of TF-IDF, of unit length.

    Args:
        tfidf: the baseline under it.
        rotation: of its terms, float32 of shape (terms, size).
        seconds: that both fits took.
    """

    name = "LSA"

    def __init__(self, tfidf: TfidfBaseline, rotation: Floats, seconds: float) -> None:
        self.tfidf = tfidf
        self.rotation = rotation
        self.seconds = seconds

    @classmethod
    def fit(cls, tfidf: TfidfBaseline, texts: Sequence[str], size: int = SIZE) -> Self:
        """Fit the singular vectors on texts.

        Args:
            tfidf: a baseline that is fitted.
            texts: as its own, or some of them.
            size: numbers of a vector; as many as there are terms or texts, if these are fewer.
        """
        started = time.perf_counter()
        known = tfidf.encode(texts)
        size = max(1, min(size, *(side - 1 for side in known.shape)))
        svd = TruncatedSVD(size, random_state=0).fit(known)
        rotation = np.ascontiguousarray(svd.components_.T, dtype=np.float32)
        return cls(tfidf, rotation, tfidf.seconds + time.perf_counter() - started)

    @property
    def size(self) -> int:
        """The numbers of a vector."""
        return int(self.rotation.shape[1])

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, float32 of shape (texts, size)."""
        vectors: Floats = normalize(self.tfidf.encode(texts) @ self.rotation, copy=False)
        return vectors
