"""The postings of a segment: for each word, the papers that have it and how much it weighs there.

A weight is the factor of BM25 that depends on the paper alone, in eight bits; what depends on all
papers, how rare a word is, is computed in a search. So postings are merged without their texts.
Source: Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from shelfmark.core import npy
from shelfmark.core.arrays import Array, Doubles, Indicator, Ints
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError
from shelfmark.search.vectors.protocol import ArrayFiles
from shelfmark.search.words.terms import Hashes, hash_words

SATURATION, LENGTH_SHARE = 1.2, 0.75  # k1 and b of BM25
# In words that count, of a title and an abstract of arXiv; a constant, so that a weight never
# changes when papers are added.
AVERAGE_LENGTH = 100
TITLE = 2  # how many times a word of the title counts
LARGEST = 255  # of a weight

FILES = {
    "word_hashes.npy": "<u8",
    "word_starts.npy": "<i8",
    "word_rows.npy": "<u4",
    "word_weights.npy": "|u1",
}
Rows = np.ndarray[Any, np.dtype[np.uint32]]


@dataclass(frozen=True, eq=False)
class Postings:
    """The papers of each word of a segment.

    Args:
        hashes: of the words, ascending, uint64 of shape (words,).
        starts: where the postings of each word begin, and the end, int64 of shape (words + 1,).
        rows: the papers of each posting, ascending within a word, uint32 of shape (postings,).
        weights: of the words in these papers, uint8 of shape (postings,).
    """

    hashes: Hashes
    starts: Ints
    rows: Rows
    weights: Indicator

    @classmethod
    def of_papers(cls, titles: Sequence[str], abstracts: Sequence[str]) -> Self:
        """Return the postings of papers; the row of a paper is its place."""
        papers = len(titles)
        title, abstract = hash_words(titles), hash_words(abstracts)
        hashes, words = np.unique(
            np.concatenate([title.hashes, abstract.hashes]), return_inverse=True
        )
        places = np.tile(np.arange(papers), 2)
        rows = np.repeat(places, np.concatenate([title.counts, abstract.counts]))
        # A key is a word, a row, and whether the word stands in the title.
        keys = (words * papers + rows) << 1
        keys[: len(title.hashes)] |= 1
        keys.sort()
        heads = np.flatnonzero(np.diff(keys >> 1, prepend=-1))
        times = np.add.reduceat(np.where(keys & 1, TITLE, 1), heads) if len(heads) else heads
        words, rows = np.divmod(keys[heads] >> 1, max(papers, 1))
        lengths = title.counts * TITLE + abstract.counts
        starts = np.searchsorted(words, np.arange(len(hashes) + 1))
        return cls(hashes, starts, rows.astype(np.uint32), weigh(times, lengths[rows]))

    @classmethod
    def open(cls, files: ArrayFiles) -> Self:
        """Return the postings in the files of a segment, mapped.

        Raises:
            ShelfmarkError: a file is damaged.
        """
        hashes, starts, rows, weights = (files.array(name) for name in FILES)
        ended = len(starts) == len(hashes) + 1 and starts[-1] == len(rows) == len(weights)
        if not ended or starts[0]:
            raise ShelfmarkError(
                f"{files.folder}: the postings of its words do not fit: build the index again"
            )
        return cls(hashes, starts, rows, weights)

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write the files into the folder of a segment, and return their specifications.

        Raises:
            ShelfmarkError: the disk is full.
        """
        return npy.write_arrays(folder, dict(zip(FILES, self.arrays(), strict=True)))

    def arrays(self) -> tuple[Array, ...]:
        """Return the array of each file, in the order of `FILES`; their shapes are on the class."""
        return self.hashes, self.starts, self.rows, self.weights

    def find(self, hashes: Hashes) -> tuple[Ints, Ints]:
        """Return where the postings of each word begin and end, each of shape (words,)."""
        places = np.searchsorted(self.hashes, hashes)
        known = places < len(self.hashes)
        known[known] = self.hashes[places[known]] == hashes[known]
        places[~known] = 0
        return self.starts[places], self.starts[places + known]


def weigh(times: Ints, lengths: Ints) -> Indicator:
    """Return the weights of words that occur so many times in papers of so many words.

    The weight of BM25, tf / (tf + k1 (1 - b + b length / average)), lies between 0 and 1.

    Returns:
        The weights times 255, at least 1, uint8 of the same shape.
    """
    norms: Doubles = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * lengths / AVERAGE_LENGTH)
    weights = np.rint(LARGEST * times / (times + norms))
    return np.maximum(weights, 1).astype(np.uint8)
