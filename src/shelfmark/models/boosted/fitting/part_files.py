"""The files of TF-IDF rows: one part of the papers each, read segment by segment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from shelfmark.core import files
from shelfmark.core.arrays import Array, Ints, SmallInts
from shelfmark.core.npy import write_array

# Of a segment: its papers, the sizes of their rows, and the columns and values of all.
Segment = tuple[Ints, Ints, SmallInts, Array]
STORED_BYTES = 8  # of disk for each stored feature: its column and its value
STORED = 250  # features of a paper with title and abstract of the usual length, an upper estimate


def rows_bytes(papers: int) -> int:
    """Return about how many bytes of disk the rows of so many papers take."""
    return papers * STORED * STORED_BYTES


@dataclass(frozen=True)
class PartFiles:
    """The files of some or all parts in one folder.

    The rows of a part lie in a random order, which is cut into as many segments as there are
    parts. The files are read and not mapped: pages of a mapped file count as memory of the process.

    Args:
        folder: of the files.
        groups: the number of papers of each part, also of those that are elsewhere.
        seed: of the order of the rows of each part.
    """

    folder: Path
    groups: tuple[int, ...]
    seed: int

    def missing(self) -> list[int]:
        """Return the numbers of the parts that are not written yet."""
        return [part for part in range(len(self.groups)) if not self._ends_path(part).exists()]

    def count_stored(self, part: int) -> int:
        """Return the number of stored features of a part."""
        return int(self._ends_of(part)[-1])

    def write(self, part: int, features: sp.csr_matrix) -> None:
        """Write the rows of a part, in the order of its papers.

        Raises:
            ShelfmarkError: the disk is full or cannot be written.
        """
        rows = features[order_of_part(self.seed, part, self.groups[part])]
        with files.atomic_write(self._rows_path(part)) as file:
            file.write(rows.indices.astype(np.int32, copy=False).data)
            file.write(rows.data.astype(np.float32, copy=False).data)
        with files.atomic_write(self._ends_path(part)) as file:  # last: the part is complete
            write_array(file, rows.indptr.astype(np.int64))

    def read_segment(self, part: int, number: int) -> Segment:
        """Return a segment of a part."""
        count, ends = self.groups[part], self._ends_of(part)
        edges = np.linspace(0, count, len(self.groups) + 1).astype(int)
        begin, end = edges[number], edges[number + 1]
        order = order_of_part(self.seed, part, count)[begin:end]
        start, stored = int(ends[begin]), int(ends[end] - ends[begin])
        path = self._rows_path(part)
        indices = np.fromfile(path, np.int32, stored, offset=4 * start)
        data = np.fromfile(path, np.float32, stored, offset=4 * (int(ends[-1]) + start))
        return sum(self.groups[:part]) + order, np.diff(ends[begin : end + 1]), indices, data

    def _ends_of(self, part: int) -> Ints:
        if part not in self._ends:
            self._ends[part] = np.load(self._ends_path(part))
        return self._ends[part]

    @cached_property
    def _ends(self) -> dict[int, Ints]:
        return {}

    def _rows_path(self, part: int) -> Path:
        return self.folder / f"{part:05}.rows"

    def _ends_path(self, part: int) -> Path:
        return self.folder / f"{part:05}.npy"

    def __getstate__(self) -> dict[str, Any]:
        # Without what is cached.
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def order_of_part(seed: int, part: int, papers: int) -> Ints:
    """Return the random order of the rows of a part."""
    return np.random.default_rng([seed, part]).permutation(papers)
