"""The static encoder: the sum of the vectors of a text's terms, at unit length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from shelfmark.config.encoders import MOST_SIZE
from shelfmark.core import checks, structure
from shelfmark.core.arrays import Array, Floats
from shelfmark.core.checks import State
from shelfmark.core.npy import ArraySpec
from shelfmark.core.parallel import map_threads
from shelfmark.core.structure import Source, Structured
from shelfmark.embeddings.static.vectors import scale_rows
from shelfmark.errors import ShelfmarkError
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

TABLE = "encoder.pkl"
LARGEST = 127  # of an int8
PART = 1024  # texts encoded at a time: their terms' vectors fit the cache


class StaticEncoder(Structured):
    """A table of one vector for each term, in eight bits.

    A text's vector is the sum of its terms' vectors, each times 1 + log(count), at unit length. So
    the cosine of two texts is a sum over the pairs of their terms.

    Args:
        vectorizer: counts the terms.
        rows: the vectors of the terms without their lengths, int8 of shape (terms, size).
        scales: the factor of each row, float32 of shape (terms,).
    """

    STATE: ClassVar[State] = {
        "vectorizer": checks.instance(FastTfidfVectorizer),
        "rows": checks.array(np.int8, 2),
        "scales": checks.array(np.float32, 1),
    }

    threads = 1  # that encode; no part of the state

    def __init__(self, vectorizer: FastTfidfVectorizer, rows: Array, scales: Floats) -> None:
        self.vectorizer = vectorizer
        self.rows = rows
        self.scales = scales

    @classmethod
    def from_table(cls, vectorizer: FastTfidfVectorizer, table: Floats) -> Self:
        """Return the encoder of a table in floats, shape (terms, size), rounded to eight bits."""
        scales = np.abs(table).max(axis=1) / LARGEST
        rows = np.empty(table.shape, np.int8)
        for begin in range(0, len(table), 1 << 14):  # without a second table in floats
            part = slice(begin, begin + (1 << 14))
            factor = np.maximum(scales[part], np.finfo(np.float32).tiny)[:, None]
            rows[part] = np.rint(table[part] / factor)
        return cls(vectorizer, rows, scales.astype(np.float32))

    @property
    def size(self) -> int:
        """The numbers of a vector."""
        return int(self.rows.shape[1])

    def structure_state(self) -> dict[str, Any]:
        """Return the state that is saved, to which the threads do not belong."""
        return {name: getattr(self, name) for name in self.STATE}

    def check_structure(self) -> None:
        """Check that each term has a row and a scale.

        Raises:
            ValueError: it has not.
        """
        terms = len(self.vectorizer.vocabulary_)
        checks.require_range("size", [self.size], 1, MOST_SIZE)
        checks.require_shape("rows", self.rows, (terms, self.size))
        checks.require_shape("scales", self.scales, (terms,))

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, float32 of shape (texts, size).

        A row has unit length; that of a text without any known term is zero.
        """
        parts = [texts[begin : begin + PART] for begin in range(0, len(texts), PART)]
        empty = np.empty((0, self.size), np.float32)
        return np.concatenate([empty, *map_threads(self.threads, self._encode_part, parts)])

    def _encode_part(self, texts: Sequence[str]) -> Floats:
        return self.sum_terms(self.vectorizer.transform(texts))

    def sum_terms(self, counts: Any) -> Floats:
        """Return the vectors of texts whose weights of terms are given, as `encode`.

        Args:
            counts: CSR of shape (texts, terms), float32.
        """
        used, place = np.unique(counts.indices, return_inverse=True)
        weights = counts.data * self.scales[counts.indices]
        shape = (counts.shape[0], len(used))
        known = sp.csr_matrix((weights, place.astype(np.int32), counts.indptr), shape)
        sums: Floats = known @ self.rows[used].astype(np.float32)
        return scale_rows(sums)[0]

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write the structure as a pickle that runs nothing, the arrays beside it."""
        content, arrays = structure.dump(self, lambda name: (folder / name).open("wb"))
        (folder / TABLE).write_bytes(content)
        return arrays


def open_encoder(source: Source) -> StaticEncoder:
    """Return the encoder in the files of an artifact.

    Raises:
        ShelfmarkError: a file is damaged or foreign.
    """
    encoder = structure.load(source.content(TABLE), source)
    if type(encoder) is not StaticEncoder:
        raise ShelfmarkError(f"{TABLE} holds no encoder but {type(encoder).__name__}")
    return encoder
