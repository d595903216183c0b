"""Postings of several blocks or segments merged into those of one, in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shelfmark.core import files
from shelfmark.core.arrays import Indicator, Ints
from shelfmark.core.npy import ArraySpec, RowWriter
from shelfmark.search.words.postings import FILES, Postings
from shelfmark.search.words.terms import Hashes
from shelfmark.tfidf.ngrams import mark_changes

AT_A_TIME = 1 << 22  # postings that are sorted
WEIGHT_BITS, ROW_BITS = 8, 32  # of a key, below the number of the word
Part = tuple[Postings, Ints]


def merge_postings(
    parts: Sequence[Part], folder: Path, at_a_time: int = AT_A_TIME
) -> dict[str, ArraySpec]:
    """Write the postings of all parts into the folder of a segment.

    They are those that `Postings.of_papers` returns of all kept papers, to the byte.

    Args:
        parts: postings, each with the new row of each of its papers, int64 of shape (papers,);
            -1 for a paper that is dropped. No two papers have the same new row.
        folder: of the new segment.
        at_a_time: about how many postings are held in memory.

    Returns:
        The specification of each file.

    Raises:
        ShelfmarkError: the disk is full.
    """
    with files.report_write_errors(folder), ExitStack() as stack:
        opened = {name: stack.enter_context((folder / name).open("wb")) for name in FILES}
        hashes, starts, rows, weights = (
            RowWriter(opened[name], None, dtype) for name, dtype in FILES.items()
        )
        starts.write(np.zeros(1, np.int64))
        for merged in _merge_slices(parts, at_a_time):
            starts.write(merged.starts[1:] + rows.rows)
            hashes.write(merged.hashes)
            rows.write(merged.rows)
            weights.write(merged.weights)
        writers = (hashes, starts, rows, weights)
        for writer in writers:
            writer.finish()
    return {name: writer.spec for name, writer in zip(FILES, writers, strict=True)}


def _merge_slices(parts: Sequence[Part], at_a_time: int) -> Iterator[Postings]:
    """Yield the merged postings of one range of hashes after another."""
    total = sum(len(postings.rows) for postings, _ in parts)
    # Hashes are spread evenly, so that ranges of one width hold about as many words each.
    ranges = max(-(-total // at_a_time), 1)
    borders = np.array([(number << 64) // ranges for number in range(1, ranges)], np.uint64)
    cuts = [
        [0, *np.searchsorted(postings.hashes, borders).tolist(), len(postings.hashes)]
        for postings, _ in parts
    ]
    for number in range(ranges):
        pieces = [
            _cut_piece(*part, slice(*cut[number : number + 2]))
            for part, cut in zip(parts, cuts, strict=True)
        ]
        if pieces:
            yield _merge_pieces(pieces)


class _Piece(NamedTuple):
    """Some words of a part: their hashes and numbers of postings, the new rows and the weights."""

    hashes: Hashes
    sizes: Ints
    rows: Ints
    weights: Indicator


def _cut_piece(postings: Postings, new_rows: Ints, words: slice) -> _Piece:
    """Return the postings of some words of a part."""
    starts = postings.starts[words.start : words.stop + 1]
    inside = slice(int(starts[0]), int(starts[-1]))
    rows, weights = new_rows[postings.rows[inside]], postings.weights[inside]
    return _Piece(postings.hashes[words], np.diff(starts), rows, weights)


def _merge_pieces(pieces: Sequence[_Piece]) -> Postings:
    """Return the postings of all pieces, without the papers that are dropped."""
    hashes, sizes, rows, weights = map(np.concatenate, zip(*pieces, strict=True))
    distinct, words = np.unique(hashes, return_inverse=True)
    keys: Hashes = np.repeat(words, sizes).astype(np.uint64) << np.uint64(WEIGHT_BITS + ROW_BITS)
    keys |= rows.astype(np.uint64) << np.uint64(WEIGHT_BITS)
    keys |= weights
    keys = np.sort(keys[rows >= 0])
    rows = (keys >> np.uint64(WEIGHT_BITS)).astype(np.uint32)
    weights = keys.astype(np.uint8)
    keys >>= np.uint64(WEIGHT_BITS + ROW_BITS)
    heads = np.flatnonzero(mark_changes(keys))
    kept = distinct[keys[heads].astype(np.int64)]
    return Postings(kept, np.append(heads, len(keys)), rows, weights)
