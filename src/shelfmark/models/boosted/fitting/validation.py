"""The papers of validation, which stop the trees and calibrate: read group by group."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.core import files, memory, parallel, structure
from shelfmark.core.arrays import Indicator, Ints
from shelfmark.core.npy import ArraySpec
from shelfmark.data.labels import Targets
from shelfmark.data.splits import PaperGroups
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import features
from shelfmark.models.boosted.fitting.engine import TERM_BYTES, WORTH_SHARING
from shelfmark.models.boosted.fitting.rows import Mask
from shelfmark.tfidf.ngrams import make_indptr

STEPS = "steps.pkl"  # the file of the structure that the processes open
GROUP_BYTES = 400 << 20  # of memory, for the texts, rows and scores of a group of papers

_OPENED: dict[Path, features.Steps] = {}  # by this process


@dataclass(frozen=True)
class ValidationPapers:
    """The papers of validation whose label is a class.

    Args:
        papers: all papers of validation.
        kept: which papers of each group have such a label.
        targets: the class of each kept paper, shape (kept papers,).
        membership: 1 where a kept paper has a listed category, shape (kept papers, listed).
    """

    papers: PaperGroups
    kept: list[Mask]
    targets: Ints
    membership: Indicator

    @classmethod
    def of(cls, papers: PaperGroups, targets: Targets) -> ValidationPapers:
        """Return the papers of validation for some classes.

        Raises:
            ShelfmarkError: no paper has a label that is a class.
        """
        table = papers.read(["label", "categories"])
        numbers = targets.encode(table)
        known = numbers >= 0
        if not known.any():
            raise ShelfmarkError(
                "data: validation has no paper of a label in train: change data.cuts"
            )
        membership = targets.membership(table.filter(pa.array(known)))
        kept = np.split(known, np.cumsum(papers.groups)[:-1])
        return cls(papers, kept, numbers[known], membership)

    def transform(self, steps: features.Steps, budget: int) -> sp.csr_matrix:
        """Return the features of the kept papers by fitted steps, shape (kept papers, columns).

        Args:
            steps: as of a pipeline.
            budget: bytes of memory of all processes, which share the groups.
        """
        needed = TERM_BYTES * steps[0][1].terms + GROUP_BYTES
        workers = memory.fitting_processes(budget, needed)
        numbers = range(len(self.kept))
        if len(numbers) < WORTH_SHARING or workers < 2:
            return stack_rows([features.transform(steps, self._texts(n)) for n in numbers])
        with tempfile.TemporaryDirectory(prefix="shelfmark-") as folder:
            work = partial(_transform_in_process, _StepFiles.write(steps, Path(folder)), self)
            return stack_rows(list(parallel.map_in_order(work, numbers, workers)))

    def texts(self, chosen: slice) -> list[str]:
        """Return the texts of the chosen ones of the kept papers."""
        texts = (text for number in range(len(self.kept)) for text in self._texts(number))
        return list(itertools.islice(texts, chosen.start, chosen.stop, chosen.step))

    def _texts(self, number: int) -> list[str]:
        """Return the texts of the kept papers of a group."""
        texts = self.papers.read_group(number, ["text"])["text"]
        kept: list[str] = texts.filter(pa.array(self.kept[number])).to_pylist()
        return kept

    def __getstate__(self) -> dict[str, Any]:
        # What other processes read: their memory holds the membership of no paper.
        return {**vars(self), "targets": self.targets[:0], "membership": self.membership[:0]}


@dataclass(frozen=True)
class _StepFiles:
    """Fitted steps in files, whose arrays processes map and so share."""

    folder: Path
    digests: dict[str, str]
    arrays: dict[str, ArraySpec]

    @classmethod
    def write(cls, steps: features.Steps, folder: Path) -> _StepFiles:
        with files.report_write_errors(folder):
            content, arrays = structure.dump(steps, lambda name: (folder / name).open("wb"))
            (folder / STEPS).write_bytes(content)
        digests = {path.name: files.sha256(path) for path in folder.iterdir()}
        return cls(folder, digests, arrays)

    def open_once(self) -> features.Steps:
        """Return the steps, which each process opens once."""
        if self.folder not in _OPENED:
            source = DigestedFiles(self.folder, self.digests, self.arrays)
            _OPENED[self.folder] = structure.load(source.content(STEPS), source)
        return _OPENED[self.folder]


def _transform_in_process(
    steps: _StepFiles, papers: ValidationPapers, number: int
) -> sp.csr_matrix:
    with threadpool_limits(1):  # the others have the other cores
        return features.transform(steps.open_once(), papers._texts(number))


def stack_rows(blocks: list[sp.csr_matrix]) -> sp.csr_matrix:
    """Return the rows of all blocks, which are removed one by one: no two copies are in memory."""
    shape = sum(block.shape[0] for block in blocks), blocks[0].shape[1]
    sizes = np.concatenate([np.diff(block.indptr) for block in blocks])
    ends = make_indptr(sizes)
    data, indices = np.empty(ends[-1], np.float32), np.empty(ends[-1], ends.dtype)
    begin = 0
    while blocks:
        block = blocks.pop(0)
        part = slice(begin, begin + block.nnz)
        data[part], indices[part] = block.data, block.indices
        begin += block.nnz
    return sp.csr_matrix((data, indices, ends), shape)
