"""The TF-IDF rows of the training papers, and their labels, as models are fitted on them.

Rows are read in blocks, each a random sample of all papers, so that stochastic gradients see the
papers shuffled while no process holds more of them than a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Indicator, Ints, SmallInts
from shelfmark.models.boosted.fitting.part_files import PartFiles, Segment

BLOCK_PAPERS = 16384  # of a row group, and so of a block, at most
BLOCK_BYTES = 32  # for each stored feature of a block: read, joined, permuted

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class PaperLabels:
    """The labels of the training papers, which stay in memory: some bytes a paper.

    Args:
        targets: the class of each paper, shape (papers,).
        classes: the number of classes.
        listed: 1 where a paper has a listed category, uint8 CSR of shape (papers, listed).
    """

    targets: SmallInts
    classes: int
    listed: sp.csr_matrix

    @classmethod
    def of_indicator(cls, indicator: Indicator, classes: int) -> PaperLabels:
        """Return the labels of an indicator: first the classes, then the listed categories."""
        targets = indicator[:, :classes].argmax(axis=1).astype(np.int32)
        return cls(targets, classes, sp.csr_matrix(indicator[:, classes:]))

    @property
    def columns(self) -> int:
        """The number of columns of an indicator."""
        return int(self.classes + self.listed.shape[1])

    def indicator(self, papers: Ints) -> Indicator:
        """Return the one-hot classes of some papers, then their listed categories.

        The shape is (papers, classes + listed).
        """
        indicator = np.zeros((len(papers), self.columns), np.uint8)
        indicator[np.arange(len(papers)), self.targets[papers]] = 1
        indicator[:, self.classes :] = self.listed[papers].toarray()
        return indicator


@dataclass(frozen=True)
class Block:
    """The rows of some papers.

    Args:
        papers: their numbers among the training papers, shape (papers,).
        features: their TF-IDF, float32 of shape (papers, terms).
    """

    papers: Ints
    features: sp.csr_matrix

    def select(self, chosen: Mask | None) -> Block:
        """Return the rows of the papers that a mask of all training papers chooses."""
        if chosen is None:
            return self
        kept = chosen[self.papers]
        return self if kept.all() else Block(self.papers[kept], self.features[kept])


class TrainingRows(Protocol):
    """The rows of all training papers; worker processes read them too."""

    @property
    def labels(self) -> PaperLabels:
        """The labels of the papers."""

    @property
    def shape(self) -> tuple[int, int]:
        """The number of papers and of terms."""

    @property
    def stored(self) -> int:
        """The number of stored features."""

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Block]:
        """Yield all rows in blocks, each a random sample of all; with `rng`, in a random order."""


@dataclass(frozen=True)
class MatrixRows:
    """Rows in memory.

    Args:
        features: TF-IDF of shape (papers, terms).
        labels: of the papers.
    """

    features: sp.csr_matrix
    labels: PaperLabels

    @property
    def shape(self) -> tuple[int, int]:
        """The number of papers and of terms."""
        papers, terms = self.features.shape
        return papers, terms

    @property
    def stored(self) -> int:
        """The number of stored features."""
        return int(self.features.nnz)

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Block]:
        """Yield all rows as one block."""
        yield Block(np.arange(self.shape[0]), self.features)


@dataclass(frozen=True)
class PartRows:
    """Rows in files, a part of the papers each; block number s is the segment s of all parts.

    Args:
        folder: of the files.
        groups: the number of papers of each part.
        terms: the number of columns.
        labels: of the papers.
        seed: of the order of the rows of each part.
    """

    folder: Path
    groups: tuple[int, ...]
    terms: int
    labels: PaperLabels
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        """The number of papers and of terms."""
        return sum(self.groups), self.terms

    @cached_property
    def stored(self) -> int:
        """The number of stored features."""
        return sum(map(self._files.count_stored, range(len(self.groups))))

    def missing(self) -> list[int]:
        """Return the numbers of the parts that are not written yet."""
        return self._files.missing()

    def write_part(self, part: int, features: sp.csr_matrix) -> None:
        """Write the rows of a part, in the order of its papers.

        Raises:
            ShelfmarkError: the disk is full or cannot be written.
        """
        self._files.write(part, features)

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Block]:
        """Yield all rows in blocks, each a random sample of all; with `rng`, in a random order."""
        for number in order_blocks(len(self.groups), rng):
            yield self.read_block(number)

    def read_block(self, number: int) -> Block:
        """Return the segments of a number of all parts."""
        parts = range(len(self.groups))
        return join_segments([self._files.read_segment(part, number) for part in parts], self.terms)

    @cached_property
    def _files(self) -> PartFiles:
        return PartFiles(self.folder, self.groups, self.seed)

    def __getstate__(self) -> dict[str, Any]:
        # Without what is cached.
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def order_blocks(count: int, rng: np.random.Generator | None) -> list[int]:
    """Return the numbers of blocks in the order in which they are read, a random one with `rng`."""
    return list(range(count)) if rng is None else rng.permutation(count).tolist()


def join_segments(segments: Sequence[Segment], terms: int) -> Block:
    """Return the segments of one number, in the order of their parts, as a block.

    Args:
        segments: of all parts.
        terms: the number of columns.
    """
    papers, sizes, indices, data = (
        np.concatenate(arrays) for arrays in zip(*segments, strict=True)
    )
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    shape = (len(papers), terms)
    return Block(papers, sp.csr_matrix((data, indices, indptr.astype(np.int32)), shape))


def block_bytes(rows: TrainingRows) -> int:
    """Return about how many bytes it takes to read and permute a block of rows in files."""
    return BLOCK_BYTES * int(rows.stored * min(1, BLOCK_PAPERS / max(rows.shape[0], 1)))


def gather_rows(rows: TrainingRows, chosen: Mask | None = None) -> Block:
    """Return the rows of the chosen papers in one matrix, in the order of the blocks."""
    blocks = [block.select(chosen) for block in rows.blocks()]
    if len(blocks) == 1:
        return blocks[0]
    papers = np.concatenate([block.papers for block in blocks])
    return Block(papers, sp.vstack([block.features for block in blocks], format="csr"))
