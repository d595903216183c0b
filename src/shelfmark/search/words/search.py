"""Search by words: BM25 over the postings of all segments, in bounded work.

The postings of a query's rarest words give the candidates; then its other words score the best of
them. So the work does not grow with the postings of common words, which say little of what is
looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelfmark.core.arrays import Array, Doubles, Floats, Ints
from shelfmark.errors import ShelfmarkError
from shelfmark.search.filters import Selection
from shelfmark.search.words.postings import LARGEST, SATURATION, Postings
from shelfmark.search.words.terms import Hashes, hash_words

MOST_POSTINGS = 200_000  # that are read, or one for so many papers of a large index:
PAPERS_A_POSTING = 8
MOST_LOOKUPS = 20_000  # of a candidate in the postings of a word that are not read
LOOKUP_COST = 10  # postings that are read in the time of a look-up
WINDOW = 1 << 18  # papers whose scores are added up at a time


@dataclass(frozen=True, eq=False)
class _Query:
    """The words of a query that the index has, the rarest first.

    Args:
        weights: what one unit of a posting's weight adds to a score, float64 of shape (words,).
        starts: where the postings of each word begin in each segment, shape (segments, words).
        ends: where they end.
    """

    weights: Doubles
    starts: Ints
    ends: Ints

    @property
    def totals(self) -> Ints:
        """The postings of each word in all segments, shape (words,)."""
        return np.asarray((self.ends - self.starts).sum(axis=0))

    def cut(self, segment: int, words: int, postings: Postings, borders: Ints) -> Ints:
        """Return where the postings of the first words begin and end in windows of a segment.

        Args:
            segment: its number.
            words: how many.
            postings: of the segment.
            borders: the first row of each window but the first.

        Returns:
            The ends of each window, shape (words, windows + 1).
        """
        starts, ends = self.starts[segment, :words], self.ends[segment, :words]
        if not len(borders):
            return np.stack([starts, ends], axis=1)
        limits = borders.astype(postings.rows.dtype)
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        inner = [np.searchsorted(postings.rows[a:b], limits) + a for a, b in pairs]
        return np.column_stack([starts, np.array(inner, np.int64).reshape(-1, len(borders)), ends])


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Papers that some words score.

    Args:
        rows: ascending, counted through all segments, int64 of shape (papers,).
        scores: float64 of shape (papers,).
    """

    rows: Ints
    scores: Doubles

    @classmethod
    def join(cls, parts: Sequence[_Candidates]) -> _Candidates:
        """Return the papers of all parts, one part after the other."""
        rows, scores = (
            np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in parts)])
            for name, dtype in (("rows", np.int64), ("scores", np.float64))
        )
        return cls(rows, scores)

    def best(self, most: int) -> _Candidates:
        """Return the papers of the highest scores; of equal ones the first."""
        if len(self.rows) <= most:
            return self
        least = np.partition(self.scores, -most)[-most]
        above, equal = self.scores > least, np.flatnonzero(self.scores == least)
        above[equal[: most - np.count_nonzero(above)]] = True
        return _Candidates(self.rows[above], self.scores[above])


class WordSearch:
    """Searches the postings of all segments of an index; several threads may do so at a time.

    Args:
        segments: the postings of each.
        papers: the number of papers of each.
        most_postings: that are read; None for a number that suits the index. The papers found are
            those of exact BM25 where the words of a query have no more.
        most_lookups: of candidates in the postings of words that are not read.
        window: papers whose scores are added up at a time, which is what a search takes of memory.
    """

    def __init__(
        self,
        segments: Sequence[Postings],
        papers: Sequence[int],
        most_postings: int | None = None,
        most_lookups: int = MOST_LOOKUPS,
        window: int = WINDOW,
    ) -> None:
        self._segments = segments
        self._offsets = np.cumsum([0, *papers])
        suitable = max(MOST_POSTINGS, sum(papers) // PAPERS_A_POSTING)
        self._most_postings = suitable if most_postings is None else most_postings
        self._most_lookups, self._window = most_lookups, window

    def search(self, text: str, k: int, selections: Sequence[Selection]) -> tuple[Ints, Floats]:
        """Return the papers that match a text best.

        While k of the selected papers have a word of the text, k are found.

        Args:
            text: of the query, of any length.
            k: number of papers.
            selections: the papers to choose from, of each segment.

        Returns:
            The rows, counted through all segments, int64 of shape (found,), the best first, and
            their scores, float32 of shape (found,); at most k.

        Raises:
            ShelfmarkError: the postings of a segment are damaged.
        """
        query = self._read_query(text)
        words = len(query.weights)
        read = max(int(np.searchsorted(query.totals.cumsum(), self._most_postings, "right")), 1)
        candidates = self._add_up(query, read, selections)
        if len(candidates.rows) < k and read < words:
            read, candidates = self._search_all(query, selections)
        candidates = candidates.best(max(self._most_lookups // max(words - read, 1), k))
        scores = candidates.scores + self._look_up(query, range(read, words), candidates.rows)
        best = _Candidates(candidates.rows, scores).best(k)
        order = np.argsort(-best.scores, kind="stable")
        order = order[best.scores[order] > 0]
        return best.rows[order], best.scores[order].astype(np.float32)

    def inverse_frequencies(self, hashes: Hashes) -> Doubles:
        """Return the rarity of words, BM25's idf, float64 of shape (words,)."""
        starts, ends = self._find(hashes)
        return self._rarity((ends - starts).sum(axis=0))

    def _rarity(self, frequencies: Ints) -> Doubles:
        papers = self._offsets[-1]
        return np.asarray(np.log1p((papers - frequencies + 0.5) / (frequencies + 0.5)))

    def _find(self, hashes: Hashes) -> tuple[Ints, Ints]:
        """Return where the postings of words begin and end, each of shape (segments, words)."""
        found = np.array([postings.find(hashes) for postings in self._segments], np.int64)
        shape = (len(self._segments), 2, len(hashes))
        starts, ends = found.reshape(shape).swapaxes(0, 1)
        return starts, ends

    def _read_query(self, text: str) -> _Query:
        """Return the words of a text; a word that it repeats counts 1 + log(times)."""
        hashes, times = np.unique(hash_words([text]).hashes, return_counts=True)
        starts, ends = self._find(hashes)
        frequencies = (ends - starts).sum(axis=0)
        order = np.argsort(frequencies, kind="stable")
        order = order[frequencies[order] > 0]
        weights = self._rarity(frequencies[order]) * (1 + np.log(times[order]))
        return _Query(weights * (SATURATION + 1) / LARGEST, starts[:, order], ends[:, order])

    def _search_all(
        self, query: _Query, selections: Sequence[Selection]
    ) -> tuple[int, _Candidates]:
        """Return all selected papers that have a word, and how many words score them.

        Few papers are looked up in the postings, which takes less time than reading these.
        """
        words = len(query.weights)
        selected = sum(selection.count for selection in selections)
        if selected * words * LOOKUP_COST >= query.totals.sum():
            return words, self._add_up(query, words, selections)
        chosen = zip(self._offsets[:-1], selections, strict=True)
        rows = [selection.rows() + offset for offset, selection in chosen]
        return 0, _Candidates(np.concatenate(rows), np.zeros(selected))

    def _add_up(self, query: _Query, read: int, selections: Sequence[Selection]) -> _Candidates:
        """Return the selected papers that have one of the first words, which score them."""
        parts = []
        for number, (postings, selection) in enumerate(
            zip(self._segments, selections, strict=True)
        ):
            if not selection.count:
                continue
            offset, end = self._offsets[number : number + 2].tolist()
            borders = np.arange(0, end - offset + self._window, self._window)
            cuts = query.cut(number, read, postings, borders[1:-1])
            for window, begin in enumerate(borders[:-1].tolist()):
                width = min(self._window, end - offset - begin)
                slices = cuts[:, window : window + 2]
                sums = _add_up_postings(postings, slices, query.weights[:read], begin, width)
                if selection.mask is not None:
                    sums *= selection.mask[begin : begin + width]
                rows = np.flatnonzero(sums > 0)
                parts.append(_Candidates(rows + (offset + begin), sums[rows]))
        return _Candidates.join(parts)

    def _look_up(self, query: _Query, words: range, rows: Ints) -> Doubles:
        """Return what some words add to the scores of papers, shape (papers,)."""
        added = np.zeros(len(rows))
        cuts = np.searchsorted(rows, self._offsets).tolist()
        for number, postings in enumerate(self._segments):
            part = slice(*cuts[number : number + 2])
            # Of the postings' own type: NumPy would convert all postings to another one.
            local = (rows[part] - self._offsets[number]).astype(postings.rows.dtype)
            for word in words if len(local) else ():
                inside = slice(int(query.starts[number, word]), int(query.ends[number, word]))
                if inside.start < inside.stop:
                    weights = _weights_of(local, postings.rows[inside], postings.weights[inside])
                    added[part] += query.weights[word] * weights
        return added


def _add_up_postings(
    postings: Postings, ends: Ints, weights: Doubles, begin: int, width: int
) -> Doubles:
    """Return the score of each paper of a window, shape (width,).

    Args:
        postings: of a segment.
        ends: where the postings of each word begin and end in the window, shape (words, 2).
        weights: of the words.
        begin: the window's first row.
        width: its number of rows.

    Raises:
        ShelfmarkError: the postings name papers that the segment lacks.
    """
    slices = [slice(*pair) for pair in ends.tolist()]
    rows, units = (
        np.concatenate([array[:0], *(array[part] for part in slices)])
        for array in (postings.rows, postings.weights)
    )
    if len(rows) and rows.max() >= begin + width:
        raise ShelfmarkError("the postings of a segment are damaged: build the index again")
    scores = units * np.repeat(weights, np.diff(ends).ravel())
    return np.bincount(rows - np.uint32(begin), scores, width).astype(np.float64, copy=False)


def _weights_of(rows: Array, having: Array, weights: Array) -> Array:
    """Return the weight of a word in each paper, 0 in those that are not in its postings."""
    places = np.minimum(np.searchsorted(having, rows), len(having) - 1)
    return np.where(having[places] == rows, weights[places], 0)
