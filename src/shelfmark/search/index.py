"""An index that is open for searches: its segments, and the encoder that made their vectors."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from shelfmark.core.arrays import Floats, Ints
from shelfmark.embeddings import artifact
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.search.encoder import locate_index_encoder
from shelfmark.search.filters import Filters, Mask, Selection
from shelfmark.search.manifest import Manifest, SegmentEntry, read_manifest, require_digest
from shelfmark.search.papers import PaperRow
from shelfmark.search.query.run import run_query
from shelfmark.search.query.search_query import SearchQuery, SearchResult, ShelfPredictor
from shelfmark.search.segment import AGAIN, Segment, SegmentFiles, read_card
from shelfmark.search.vectors.methods import open_vectors
from shelfmark.search.vectors.protocol import MISSING, Neighbours, VectorIndex
from shelfmark.search.words.postings import Postings
from shelfmark.search.words.search import WordSearch

T = TypeVar("T")

RELEASED = 8  # searches between two releases of memory
WORTH_SHARING = 50_000  # papers from which on two threads are faster
TRIES = 3  # to open an index that is changed meanwhile


@dataclass(frozen=True, eq=False)
class OpenSegment:
    """A segment, its vector index and its postings.

    Args:
        entry: of the manifest when it was opened.
        segment: its files.
        vectors: finds its nearest vectors.
        postings: of its words.
    """

    entry: SegmentEntry
    segment: Segment
    vectors: VectorIndex
    postings: Postings

    def close(self) -> None:
        """Close its files."""
        self.vectors.close()
        self.segment.close()


class Index:
    """An index that is open; several threads may search it at a time.

    A paper is named by its row: the rows of the segments follow one another.

    Args:
        manifest: of the index.
        encoder: that made its vectors.
        segments: in the order of the manifest.
        deleted: the deleted papers of each segment, None where there are none.

    Attributes:
        papers: number of papers, without the deleted ones.
        generation: rises with every change of the index.
        synthetic: whether the papers are made up.
        categories: names of those that occur in the index.
        words: finds papers by their words.
    """

    def __init__(
        self,
        manifest: Manifest,
        encoder: OpenEncoder,
        segments: Sequence[OpenSegment],
        deleted: Sequence[Mask | None],
    ) -> None:
        self.encoder = encoder
        self.papers, self.generation = manifest.papers, manifest.generation
        self.synthetic = manifest.synthetic
        self.segments = segments
        self._deleted = deleted
        self._size = manifest.size
        self._closed = False
        self._searches = itertools.count(1)
        self._pool = ThreadPoolExecutor(
            os.cpu_count(), "search"
        )  # starts no thread before it needs
        lengths = [len(one.segment) for one in segments]
        self.categories = frozenset(name for one in segments for name in one.segment.columns.names)
        self._starts = np.cumsum([0, *lengths])
        self.words = WordSearch([one.postings for one in segments], lengths)

    @classmethod
    def open(
        cls,
        folder: Path,
        encoder: OpenEncoder | None = None,
        encoders: str = "encoders",
        before: Index | None = None,
        whole: bool = True,
    ) -> Index:
        """Open the index of a folder.

        Args:
            folder: of the index.
            encoder: that made its vectors; None to open the one that the index names.
            encoders: folder or bucket of the encoders.
            before: an older state of the same index, whose segments and encoder are shared.
            whole: whether the digests of large files are checked too.

        Raises:
            ShelfmarkError: there is no index, a file is damaged, or another encoder made it.
        """
        for _ in range(TRIES - 1):
            manifest = read_manifest(folder)
            try:
                return cls._open(folder, manifest, encoder, encoders, before, whole)
            except ShelfmarkError:
                if read_manifest(folder) == manifest:
                    raise
        return cls._open(folder, read_manifest(folder), encoder, encoders, before, whole)

    @classmethod
    def _open(
        cls,
        folder: Path,
        manifest: Manifest,
        encoder: OpenEncoder | None,
        encoders: str,
        before: Index | None,
        whole: bool,
    ) -> Index:
        if encoder is None and before and before.encoder.digest == manifest.encoder_sha256:
            encoder = before.encoder
        encoder = encoder or open_encoder(manifest, folder, encoders)
        require_digest(manifest, folder, encoder.name, encoder.digest)
        known = {(x.entry.name, x.entry.sha256): x for x in (before.segments if before else ())}
        segments, deleted = [], []
        with ExitStack() as opened:  # closed again if one does not open
            for entry in manifest.segments:
                segment = known.get((entry.name, entry.sha256))
                if segment is None:
                    segment = _open_segment(folder, manifest, entry, whole)
                    opened.callback(segment.close)
                segments.append(segment)
                rows = entry.deleted
                deleted.append(rows.read(folder, entry.papers) if rows else None)
            opened.pop_all()
        index = cls(manifest, encoder, segments, deleted)
        index.release()  # the codes are in memory now, and no longer read from their files
        return index

    def search(
        self, queries: Sequence[SearchQuery], shelf: ShelfPredictor | None = None
    ) -> list[SearchResult]:
        """Return the papers found for each query.

        Args:
            queries: the searches.
            shelf: predicts categories, for queries whose `shelf` is above 0.

        Raises:
            QueryError: a query holds nothing to search for, or a category is unknown.
            ShelfmarkError: a file is damaged, or a server does not answer.
        """
        if self._closed:
            raise ShelfmarkError("the index is closed: open it again")
        results = []
        for query in queries:
            results.append(run_query(self, query, shelf))
            if next(self._searches) % RELEASED == 0:
                self.release()
        return results

    def select(self, filters: Filters, excluded: Collection[int] = ()) -> list[Selection]:
        """Return the papers of each segment that pass filters, without some rows."""
        parts = self._by_segment(np.array(sorted(excluded), np.int64))
        return [
            Selection(one.segment.columns, filters, deleted, rows)
            for one, deleted, rows in zip(self.segments, self._deleted, parts, strict=True)
        ]

    def nearest(
        self, vector: Floats, k: int, selections: Sequence[Selection], effort: int | None
    ) -> tuple[Ints, Floats]:
        """Return the rows nearest to a vector, and their cosines, both of shape (papers,).

        Args:
            vector: of unit length, shape (size,).
            k: the most papers.
            selections: of each segment.
            effort: of the vector search, None for the configured one.

        Raises:
            ShelfmarkError: a file is damaged, or a server does not answer.
        """
        best = Neighbours.empty(1, k)
        for one, selection, start in zip(self.segments, selections, self._starts, strict=False):
            if selection.count:
                near = one.vectors.search(vector[None], k, selection, effort)
                rows = np.where(near.rows == MISSING, MISSING, near.rows + start)
                best = best.merge(Neighbours(rows, near.scores))
        known = best.rows[0] != MISSING
        return best.rows[0][known], best.scores[0][known]

    def run_both(self, one: Callable[[], T], other: Callable[[], T]) -> tuple[T, T]:
        """Return what two functions return; on a large index, they run at the same time."""
        if self.papers < WORTH_SHARING:
            return one(), other()
        future = self._pool.submit(one)
        try:
            second = other()
            return future.result(), second
        finally:
            future.cancel()

    def vectors_of(self, rows: Ints) -> Floats:
        """Return the vectors of papers, shape (papers, size)."""
        vectors = np.zeros((len(rows), self._size), np.float32)
        for place, one, inside in self._split(rows):
            vectors[place] = one.segment.vectors.take(inside)
        return vectors

    def categories_of(self, rows: Ints) -> list[str]:
        """Return the primary categories of papers."""
        names = np.full(len(rows), "", object)
        for place, one, inside in self._split(rows):
            columns = one.segment.columns
            names[place] = np.array(columns.names, object)[columns.primary[inside]]
        return list(names)

    def read(self, rows: Ints) -> list[PaperRow]:
        """Return papers.

        Raises:
            ShelfmarkError: a file is damaged.
        """
        papers: dict[int, PaperRow] = {}
        for place, one, inside in self._split(rows):
            stored = one.segment.papers.read(inside.tolist())
            papers |= {
                p: stored[row] for p, row in zip(place.tolist(), inside.tolist(), strict=True)
            }
        return [papers[place] for place in range(len(rows))]

    def find_ids(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the rows of those papers that the index has, by their identifiers."""
        rows: dict[str, int] = {}
        for one, deleted, start in zip(self.segments, self._deleted, self._starts, strict=False):
            for name, row in one.segment.papers.find_ids(ids).items():
                if deleted is None or not deleted[row]:
                    rows[name] = row + int(start)
        return rows

    def find_title(self, title: str) -> list[int]:
        """Return the rows of the papers with a title."""
        return [
            row + int(start)
            for one, deleted, start in zip(self.segments, self._deleted, self._starts, strict=False)
            for row in one.segment.papers.find_title(title)
            if deleted is None or not deleted[row]
        ]

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, float32 of shape (texts, size) of the index."""
        return self.encoder.encode(texts, self._size)

    def release(self) -> None:
        """Let the system take back the memory of what has been read from mapped files."""
        for one in self.segments:
            one.segment.files.release()

    def close(self, after: Index | None = None) -> None:
        """Close the files, once no search is in progress.

        Args:
            after: a newer state of the same index, whose segments stay open.
        """
        self._closed = True
        self._pool.shutdown()
        shared = set(map(id, after.segments)) if after else set()
        for one in self.segments:
            if id(one) not in shared:
                one.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _split(self, rows: Ints) -> list[tuple[Ints, OpenSegment, Ints]]:
        """Return for each segment the places of its rows, and the rows within it."""
        number = np.searchsorted(self._starts, rows, side="right") - 1
        parts = []
        for place in np.unique(number).tolist():
            inside = np.flatnonzero(number == place)
            parts.append((inside, self.segments[place], rows[inside] - self._starts[place]))
        return parts

    def _by_segment(self, rows: Ints) -> list[Any]:
        bounds = np.searchsorted(rows, self._starts)
        return [
            rows[begin:end] - start
            for begin, end, start in zip(bounds, bounds[1:], self._starts, strict=False)
        ]


def open_encoder(manifest: Manifest, folder: Path, encoders: str) -> OpenEncoder:
    """Open the encoder that an index names.

    Raises:
        ShelfmarkError: it is missing, damaged, or another one now.
    """
    with locate_index_encoder(manifest, folder, encoders) as located:
        # One thread: a query is short, and a service has several of them at a time.
        return artifact.load(located.folder, threads=1, digest=located.digest)


def _open_segment(index: Path, manifest: Manifest, entry: SegmentEntry, whole: bool) -> OpenSegment:
    folder = manifest.segment_folder(index, entry)
    card, digest = read_card(folder)
    if digest != entry.sha256 or card.papers != entry.papers or card.size != manifest.size:
        raise ShelfmarkError(f"{folder}: not the segment that the manifest names; {AGAIN}")
    SegmentFiles(folder, card).check(whole)
    segment = Segment(folder, card)
    try:
        postings = Postings.open(segment.files)
        return OpenSegment(entry, segment, open_vectors(segment, manifest), postings)
    except BaseException:
        segment.close()
        raise
