"""What a method of vector search provides: the one interface between an index and any method.

A method is a module of this room and a line in `methods.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.core.npy import ArraySpec
from shelfmark.search.filters import Columns, Selection
from shelfmark.search.vectors.stored import StoredVectors

MISSING = -1  # in place of a row where fewer papers than asked for are selected


class Neighbours(NamedTuple):
    """The papers nearest to each query, the nearest first.

    Attributes:
        rows: of a segment, int64 of shape (queries, k); `MISSING` where there is none.
        scores: their cosines, float32 of shape (queries, k); -inf where there is none.
    """

    rows: Ints
    scores: Floats

    @classmethod
    def empty(cls, queries: int, k: int) -> Neighbours:
        """Return neighbours of which none is found yet."""
        return cls(np.full((queries, k), MISSING), np.full((queries, k), -np.inf, np.float32))

    def merge(self, others: Neighbours) -> Neighbours:
        """Return the nearest of these and of others, as many as these are; of equals, these."""
        rows = np.concatenate([self.rows, others.rows], axis=1)
        scores = np.concatenate([self.scores, others.scores], axis=1)
        k = self.rows.shape[1]
        best = Neighbours.empty(len(rows), k)
        least = -np.partition(-scores, k - 1, axis=1)[:, k - 1]
        for place, score in enumerate(least):
            near = np.flatnonzero(scores[place] >= score)  # sorting all would take longer
            near = near[np.argsort(-scores[place, near], kind="stable")[:k]]
            best.rows[place], best.scores[place] = rows[place, near], scores[place, near]
        return best


class ArrayFiles(Protocol):
    """The files of a segment, of which each has the digest and the shape on its card."""

    folder: Path

    def array(self, name: str) -> Array:
        """Return the array of a .npy file, mapped, of the shape on the card; it is read-only."""

    def content(self, name: str) -> memoryview:
        """Return the content of a file, mapped."""

    def checked_content(self, name: str) -> memoryview:
        """Return the content of a file, mapped, after its digest is checked."""


class VectorIndex(ABC):
    """Finds the nearest vectors of one segment; several threads may ask at a time."""

    @abstractmethod
    def search(
        self, queries: Floats, k: int, selection: Selection, effort: int | None = None
    ) -> Neighbours:
        """Return the papers nearest to each query among those that are selected.

        A selection of at least k papers gives k of them. The rows of a segment without a vector, as
        of a paper without a known word, score 0.

        Args:
            queries: unit rows, float32 of shape (queries, size).
            k: number of papers, at least 1.
            selection: the papers to choose from.
            effort: of this search alone, such as the lists of an IVF index that are read; None for
                the one that is configured.

        Raises:
            ShelfmarkError: a server does not answer.
        """

    def close(self) -> None:  # noqa: B027 - few have anything to free
        """Free what is not freed by itself, such as a connection."""


class VectorMethod(ABC):
    """Writes and opens the vector indexes of segments.

    Attributes:
        name: its name on the card of a segment.
        needs: the extra that it needs, as {module: extra}.
        is_outside: whether a part of a vector index lies outside of the segment's folder.
    """

    name: str
    needs: dict[str, str] = {}  # noqa: RUF012 - overridden, never changed
    is_outside = False

    def check(self, size: int) -> None:  # noqa: B027 - most have nothing to check
        """Check that indexes of vectors of a size can be written, before any is encoded.

        Raises:
            ShelfmarkError: they cannot, or a server does not answer.
        """

    @abstractmethod
    def write(
        self, vectors: StoredVectors, columns: Columns, segment: str, folder: Path
    ) -> dict[str, ArraySpec]:
        """Write the files of a vector index into the folder of a segment.

        Args:
            vectors: of the segment.
            columns: what its papers are filtered by.
            segment: its name.
            folder: of the segment.

        Returns:
            The type and the shape of the array in each .npy file.

        Raises:
            ShelfmarkError: the disk is full, or a server does not answer.
        """

    @abstractmethod
    def open(
        self, files: ArrayFiles, vectors: StoredVectors, segment: str, settings: Mapping[str, Any]
    ) -> VectorIndex:
        """Open the vector index of a segment.

        Args:
            files: of the segment.
            vectors: of the segment.
            segment: its name.
            settings: of the method when it was written, from the segment's card.

        Raises:
            ShelfmarkError: a file is damaged, or a server does not answer.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what `open` needs to know, for the card of a segment."""

    def remove(  # noqa: B027 - few have anything there
        self, segment: str, settings: Mapping[str, Any]
    ) -> None:
        """Remove what lies outside of a segment's folder, once no manifest names the segment.

        Args:
            segment: its name.
            settings: of the method when it was written, from the segment's card.

        Raises:
            ShelfmarkError: a server does not answer.
        """
