"""Writes a segment from the papers of blocks and of other segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shelfmark.core import console
from shelfmark.core.arrays import Array, Ints
from shelfmark.core.npy import ArraySpec, write_arrays, write_blocks
from shelfmark.search.filters import Columns
from shelfmark.search.papers import FILE, PaperRow, write_papers
from shelfmark.search.segment import (
    CATEGORIES,
    DAYS,
    PRIMARY,
    SCALES,
    VECTORS,
    Segment,
    write_card,
)
from shelfmark.search.vectors.protocol import VectorMethod
from shelfmark.search.vectors.stored import RowFile, StoredVectors, join_vectors
from shelfmark.search.words.merging import merge_postings
from shelfmark.search.words.postings import Postings


class Part(NamedTuple):
    """Some papers of a segment.

    Attributes:
        segment: of the papers.
        rows: that are kept, int64, ascending.
    """

    segment: Segment
    rows: Ints


def merge_segments(
    parts: Sequence[Part], folder: Path, name: str, choose: Callable[[int], VectorMethod]
) -> str:
    """Write the papers of several segments as one, in their order, and return its card's SHA-256.

    Args:
        parts: with at least one paper together.
        folder: empty.
        name: of the new segment.
        choose: returns the method of the vector search for a number of papers.

    Raises:
        ShelfmarkError: the disk is full, a file is damaged, or a server does not answer.
    """
    papers = sum(len(part.rows) for part in parts)
    size = parts[0].segment.card.size
    with console.progress("joining the vectors, the words and the texts", 4) as bar:
        specs, names = _write_columns(parts, papers, folder)
        specs |= _write_vectors(parts, folder)
        bar.advance()
        specs |= _write_words(parts, folder)
        bar.advance()
        write_papers(folder / FILE, _read_papers(parts))
        bar.advance()
        method = choose(papers)
        columns = Columns(names, *(_map(folder, x) for x in (PRIMARY, CATEGORIES, DAYS)))
        with closing(RowFile(folder / VECTORS, specs[VECTORS])) as rows:
            vectors = StoredVectors(rows, _map(folder, SCALES))
            specs |= method.write(vectors, columns, name, folder)
        bar.advance()
    return write_card(
        folder, specs, papers=papers, size=size, categories=names,
        method=method.name, settings=method.settings(),
    )  # fmt: skip


def _map(folder: Path, name: str) -> Array:
    return np.asarray(np.load(folder / name, mmap_mode="r"))


def _write_vectors(parts: Sequence[Part], folder: Path) -> dict[str, ArraySpec]:
    scales: list[Array] = []

    def rows() -> Iterator[Array]:
        for some, factors in join_vectors([(x.segment.vectors, x.rows) for x in parts]):
            scales.append(factors)
            yield some

    spec = write_blocks(folder / VECTORS, rows())
    return {VECTORS: spec, **write_arrays(folder, {SCALES: np.concatenate(scales)})}


def _write_columns(
    parts: Sequence[Part], papers: int, folder: Path
) -> tuple[dict[str, ArraySpec], list[str]]:
    names = sorted({name for part in parts for name in part.segment.columns.names})
    numbers = {name: number for number, name in enumerate(names)}
    primary = np.empty(papers, np.uint16)
    days = np.empty(papers, np.int32)
    starts = np.cumsum([0, *(len(part.rows) for part in parts)]).tolist()
    for (segment, rows), begin in zip(parts, starts, strict=False):
        columns, place = segment.columns, slice(begin, begin + len(rows))
        of_names = np.array([numbers[name] for name in columns.names], np.uint16)
        primary[place] = of_names[columns.primary[rows]]
        days[place] = columns.days[rows]
    categories = np.stack([_pack_category(name, parts, papers) for name in names])
    arrays: dict[str, Array] = {PRIMARY: primary, DAYS: days, CATEGORIES: categories}
    return write_arrays(folder, arrays), names


def _pack_category(name: str, parts: Sequence[Part], papers: int) -> Array:
    """Return the bits of one category, one category at a time to save memory."""
    has, begin = np.zeros(papers, bool), 0
    for segment, rows in parts:
        columns = segment.columns
        if name in columns.names:
            packed = columns.categories[columns.names.index(name)]
            bits = np.unpackbits(packed, count=columns.papers).view(bool)
            has[begin : begin + len(rows)] = bits[rows]
        begin += len(rows)
    return np.packbits(has)


def _write_words(parts: Sequence[Part], folder: Path) -> dict[str, ArraySpec]:
    postings, begin = [], 0
    for segment, rows in parts:
        new = np.full(len(segment), -1)
        new[rows] = np.arange(begin, begin + len(rows))
        postings.append((Postings.open(segment.files), new))
        begin += len(rows)
    return merge_postings(postings, folder)


def _read_papers(parts: Sequence[Part]) -> Iterator[PaperRow]:
    for segment, rows in parts:
        kept = np.zeros(len(segment), bool)
        kept[rows] = True
        for paper, is_kept in zip(segment.papers.read_all(), kept.tolist(), strict=True):
            if is_kept:
                yield paper
