"""What is kept of a text: its traits, and its words as numbers.

The numbers are enough to see that texts changed, too little to read them. Each word falls into one
of `WIDE` buckets. A reference keeps those; the prediction log keeps what is left of them folded
into `NARROW`, where dozens of words share each bucket.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import HashingVectorizer

from shelfmark.models.artifact import Model

WIDE, NARROW = 1 << 16, 1 << 10
# The model's words, and signs, which the model skips but which formulas and markup consist of.
WORDS = r"(?u)\b\w\w+\b|[^\w\s]"


class Sketcher:
    """Hashes signs and the words that a model reads.

    Args:
        features: the section of that name in the configuration on a model's card.
    """

    def __init__(self, features: dict[str, Any]) -> None:
        self._hashing = HashingVectorizer(
            strip_accents=features["strip_accents"],
            stop_words=features["stop_words"],
            token_pattern=WORDS,
            n_features=WIDE,
            alternate_sign=False,
            binary=True,
            norm=None,
            dtype=np.float32,
        )
        self._analyse = self._hashing.build_analyzer()

    def words(self, text: str) -> list[str]:
        """Return the words and signs of a text, in order."""
        return list(self._analyse(text))

    def transform(self, texts: Sequence[str]) -> sp.csr_matrix:
        """Return 1 for each bucket with a word of a text, shape (texts, WIDE)."""
        if not texts:
            return sp.csr_matrix((0, WIDE), dtype=np.float32)
        return sp.csr_matrix(self._hashing.transform(texts))

    def buckets(self, words: Sequence[str]) -> list[int]:
        """Return the bucket of each word."""
        return [int(row.indices[0]) for row in self.transform(words)]

    def sketch(self, text: str) -> str:
        """Return the narrow buckets of a text as bits in Base64, 172 characters long."""
        bits = np.zeros(NARROW, np.uint8)
        bits[self.transform([text]).indices % NARROW] = 1
        return base64.b64encode(np.packbits(bits).tobytes()).decode()


@functools.lru_cache(maxsize=1)
def sketcher_for(model: Model) -> Sketcher:
    """Return the sketcher of a model; the last one is cached."""
    return Sketcher(model.card.config["features"])


def fold(rows: sp.csr_matrix) -> sp.csr_matrix:
    """Fold rows of wide buckets into narrow ones, shape (texts, NARROW)."""
    # The sum is in place: nothing may be shared with the argument.
    parts = rows.data.copy(), rows.indices % NARROW, rows.indptr.copy()
    folded = sp.csr_matrix(parts, (rows.shape[0], NARROW))
    folded.sum_duplicates()
    folded.data[:] = 1
    return folded


def decode_sketches(sketches: Sequence[str]) -> sp.csr_matrix:
    """Return the buckets of sketches, shape (sketches, NARROW).

    Raises:
        ValueError: one of them is invalid.
    """
    if not sketches:
        return sp.csr_matrix((0, NARROW), dtype=np.float32)
    whole = [base64.b64decode(sketch, validate=True) for sketch in sketches]
    if any(len(one) != NARROW // 8 for one in whole):
        raise ValueError(f"a sketch has {NARROW // 8} bytes")
    packed = np.frombuffer(b"".join(whole), np.uint8).reshape(len(whole), -1)
    return sp.csr_matrix(np.unpackbits(packed, axis=1), dtype=np.float32)
