"""Files of pieces and of terms, which worker processes hand over to one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import numpy as np

from shelfmark.core import files
from shelfmark.core.arrays import Array
from shelfmark.tfidf.corpus.pieces import Piece
from shelfmark.tfidf.corpus.sorting import shrink
from shelfmark.tfidf.corpus.words import RankedWords


@dataclass(frozen=True)
class PartFile:
    """The file of a part, and where in it the piece of each field and range begins."""

    path: Path
    offsets: list[list[int]]

    def read(self, field: int, number: int, positions: int) -> Piece:
        """Return the piece of a field and a range; its n-grams have so many positions at most."""
        with self.path.open("rb") as file:
            file.seek(self.offsets[field][number])
            first, steps, *rest = read_arrays(file)
        place = np.cumsum(steps, dtype=np.int32) + first
        return Piece.of([place, *rest], positions)


def write_part(path: Path, pieces: Sequence[Sequence[Piece]]) -> PartFile:
    """Write the pieces of a part, by field and range.

    Raises:
        ShelfmarkError: the disk is full or cannot be written.
    """
    offsets: list[list[int]] = []
    with files.atomic_write(path) as file:
        for ranges in pieces:
            offsets.append([])
            for piece in ranges:
                offsets[-1].append(file.tell())
                # The first words rise: their differences are small.
                place, *rest = piece.columns
                steps = shrink(np.diff(place, prepend=place[:1]))
                write_arrays(file, [place[:1], steps, *rest])
    return PartFile(path, offsets)


def write_words(path: Path, words: RankedWords) -> None:
    """Write the words of a field.

    Raises:
        ShelfmarkError: the disk is full or cannot be written.
    """
    text = "".join(words.names).encode("utf-8", "surrogatepass")
    sizes = np.fromiter(map(len, words.names), np.int32, len(words.names))
    with files.atomic_write(path) as file:
        write_arrays(file, [np.frombuffer(text, np.uint8), sizes, words.times, words.edges])


def read_words(path: Path) -> RankedWords:
    """Return the words that `write_words` has written."""
    with path.open("rb") as file:
        raw, sizes, times, edges = read_arrays(file)
    text, ends = raw.tobytes().decode("utf-8", "surrogatepass"), np.cumsum(sizes)
    names = [text[a:b] for a, b in zip((ends - sizes).tolist(), ends.tolist(), strict=True)]
    return RankedWords(names, times, edges)


def write_arrays(file: IO[bytes], arrays: Sequence[Array]) -> None:
    """Write arrays one after the other, after their number."""
    # NumPy writes past Python into a real file, and its errors then lack the reason.
    through = SimpleNamespace(write=file.write)
    for array in (np.array(len(arrays)), *arrays):
        np.save(through, array)


def read_arrays(file: IO[bytes]) -> list[Array]:
    """Return the arrays that `write_arrays` has written at this place, of any shape."""
    return [np.load(file) for _ in range(int(np.load(file)))]
