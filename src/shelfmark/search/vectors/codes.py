"""Codes of one bit a number: the nearest codes are found first, then their vectors are compared.

The vectors are centred and turned, and the signs of their numbers are a code. The number of bits in
which two codes differ rises with the angle between the vectors. The turn takes the principal axes
first, if a code has fewer bits than a vector has numbers, and then a random rotation, which spreads
the variance evenly over the bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.core.npy import ArraySpec, write_arrays
from shelfmark.search.filters import Columns, Mask, Selection
from shelfmark.search.vectors.exact import search_rows
from shelfmark.search.vectors.protocol import ArrayFiles, Neighbours, VectorIndex, VectorMethod
from shelfmark.search.vectors.stored import StoredVectors

CODES, MEAN, AXES = "codes.npy", "mean.npy", "axes.npy"
WORD = 64  # bits that are compared at a time
FITTED = 50_000  # most vectors that the axes are fitted to
BLOCK = 32_768  # codes that are compared at a time: they fit the cache
FEW = 8  # of fewer than an eighth of the papers, the codes are gathered first
WIDER = 25  # by the first half of a code, so many times more are chosen as by the whole
SHARE = 100  # and at least one paper of so many
SAMPLED = 64  # one distance of so many tells where the nearest end


class CodeIndex(VectorIndex):
    """The codes of a segment, and its vectors.

    Args:
        vectors: of the segment.
        codes: word w of paper p is codes[w, p], uint64 of shape (words, papers).
        mean: that is subtracted from a vector, float32 of shape (size,).
        axes: of the bits, float32 of shape (size, bits).
        rescored: how many papers with the nearest codes are compared by their vectors.
    """

    def __init__(
        self, vectors: StoredVectors, codes: Array, mean: Floats, axes: Floats, rescored: int
    ) -> None:
        self._vectors = vectors
        self._codes = codes
        self._mean, self._axes = mean, axes
        self._rescored = rescored

    def search(
        self, queries: Floats, k: int, selection: Selection, effort: int | None = None
    ) -> Neighbours:
        """Return the papers nearest to each query, as the protocol; the effort is `rescored`."""
        most = max(effort or self._rescored, 2 * k)
        if selection.count <= most:
            return search_rows(self._vectors, queries, k, selection.rows())
        best = [
            search_rows(self._vectors, query[None], k, self._nearest(code, most, selection))
            for query, code in zip(queries, encode(queries, self._mean, self._axes).T, strict=True)
        ]
        return Neighbours(*(np.concatenate(part) for part in zip(*best, strict=True)))

    def _nearest(self, code: Array, most: int, selection: Selection) -> Ints:
        """Return the rows of the selected papers whose codes are nearest, ascending."""
        if selection.count * FEW < len(self._vectors):
            rows = selection.rows()
            return np.sort(rows[smallest(distances(self._codes, code, rows), most)])
        count = max(WIDER * most, len(self._vectors) // SHARE)
        half = len(code) // 2
        if not half or selection.count < 2 * count:
            return smallest(distances(self._codes, code), most, selection.mask)
        # The first half of a code tells nearly as much: the other is read of the nearest alone.
        far = distances(self._codes[:half], code[:half])
        rows = smallest(far, count, selection.mask)
        far = far[rows] + distances(self._codes[half:], code[half:], rows)
        return rows[smallest(far, most)]


class CodeMethod(VectorMethod):
    """Writes the codes of a segment.

    Args:
        bits: of a code, a multiple of `WORD`.
        rescored: as `CodeIndex` has it.
        seed: of the random rotation.
    """

    name = "codes"

    def __init__(self, bits: int, rescored: int, seed: int) -> None:
        self._bits, self._rescored, self._seed = bits, rescored, seed

    def write(
        self, vectors: StoredVectors, columns: Columns, segment: str, folder: Path
    ) -> dict[str, ArraySpec]:
        """Write the codes and the axes."""
        mean, axes = fit_axes(vectors.sample(FITTED, self._seed), self._bits, self._seed)
        codes = np.empty((self._bits // WORD, len(vectors)), np.uint64)
        for begin, block in vectors.blocks():
            codes[:, begin : begin + len(block)] = encode(block, mean, axes)
        return write_arrays(folder, {CODES: codes, MEAN: mean, AXES: axes})

    def open(
        self, files: ArrayFiles, vectors: StoredVectors, segment: str, settings: Mapping[str, Any]
    ) -> CodeIndex:
        """Open the codes, which are read into memory."""
        codes = np.array(files.array(CODES))
        mean, axes = np.array(files.array(MEAN)), np.array(files.array(AXES))
        return CodeIndex(vectors, codes, mean, axes, int(settings["rescored"]))

    def settings(self) -> dict[str, Any]:
        """Return the number of papers that are rescored."""
        return {"rescored": self._rescored}


def fit_axes(vectors: Floats, bits: int, seed: int) -> tuple[Floats, Floats]:
    """Return the mean of vectors, shape (size,), and the axes of the bits, shape (size, bits).

    Args:
        vectors: float32 of shape (vectors, size).
        bits: number of axes.
        seed: of the random rotation.
    """
    size = vectors.shape[1]
    mean = vectors.mean(axis=0) if len(vectors) else np.zeros(size, np.float32)
    centred = vectors - mean
    _, axes = np.linalg.eigh(centred.T @ centred)
    principal = axes[:, ::-1][:, :bits]  # eigenvalues ascend
    rng, kept = np.random.default_rng(seed), principal.shape[1]
    rotations = [
        np.linalg.qr(rng.standard_normal((kept, kept)))[0] for _ in range(-(-bits // kept))
    ]
    return mean, (principal @ np.hstack(rotations)[:, :bits]).astype(np.float32)


def encode(vectors: Floats, mean: Floats, axes: Floats) -> Array:
    """Return the codes of vectors, uint64 of shape (words, vectors)."""
    positive = (vectors - mean) @ axes > 0
    packed = np.packbits(positive, axis=1).view(np.uint64)
    return np.ascontiguousarray(packed.T)


def distances(codes: Array, code: Array, rows: Ints | None = None) -> Array:
    """Return in how many bits codes differ from one, uint16 of shape (codes,).

    Args:
        codes: uint64 of shape (words, codes).
        code: uint64 of shape (words,).
        rows: those that are compared, None for all.
    """
    count = codes.shape[1] if rows is None else len(rows)
    far = np.empty(count, np.uint16)
    differ, bits = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint8)
    for begin in range(0, count, BLOCK):
        part = slice(begin, min(begin + BLOCK, count))
        chosen = part if rows is None else rows[part]
        size = part.stop - begin
        sums = far[part]
        sums[:] = 0
        for word, own in zip(codes, code, strict=True):
            np.bitwise_xor(word[chosen], own, out=differ[:size])
            np.bitwise_count(differ[:size], out=bits[:size])
            np.add(sums, bits[:size], out=sums)
    return far


def smallest(far: Array, most: int, mask: Mask | None = None) -> Ints:
    """Return the places of the smallest distances, ascending.

    Args:
        far: distances, uint16 of shape (papers,); changed where the mask is False.
        most: how many places.
        mask: places to choose from, at least `most`; None for all.
    """
    if mask is not None:
        far[~mask] = np.iinfo(np.uint16).max
    if len(far) <= most:
        return np.arange(len(far))
    # A partition of millions of distances takes longer than all comparisons of codes. A sample of
    # them tells where the nearest end; a little further out there are enough of them.
    sample = np.sort(far[:: max(1, min(SAMPLED, len(far) // most))])
    limit = int(sample[min(len(sample) - 1, most * len(sample) // len(far))])
    near = np.flatnonzero(far <= limit)
    while len(near) < most:
        limit += max(1, limit // 32)
        near = np.flatnonzero(far <= limit)
    if len(near) == most:
        return near
    return np.sort(near[np.argpartition(far[near], most - 1)[:most]])
