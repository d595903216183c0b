"""Papers of files worked through batch by batch, in order: here, or in several processes.

Whatever answers each paper of a file, with a prediction or a vector, does so from here.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from shelfmark.core import console, files, parallel
from shelfmark.core.output.sinks import Sink
from shelfmark.core.output.targets import STANDARD
from shelfmark.data import readers
from shelfmark.data.readers import InputRecord, InvalidRecord
from shelfmark.data.streams import PaperStream, RecordBatch
from shelfmark.errors import ShelfmarkError

WORTH_DISTRIBUTING = 16  # batches: fewer do not repay the start of other processes

Item = InputRecord | InvalidRecord


class EncodedBatch(NamedTuple):
    """The encoded output of some records, and the number of those without a paper."""

    records: int
    invalid: int
    first: InvalidRecord | None
    encoded: Any
    file: str


@dataclass
class FileSummary:
    """The number of records that were read, and that of those without a paper.

    Attributes:
        done: what happened to the papers, in errors: "classified".
        records: number of records.
        invalid: number of those without a paper.
        first: the first of them.
        file: that of the first of them, "" if only one was read.
    """

    done: str
    records: int = 0
    invalid: int = 0
    first: InvalidRecord | None = None
    file: str = ""

    def add(self, batch: EncodedBatch) -> None:
        """Count the records of the next batch."""
        self.records += batch.records
        self.invalid += batch.invalid
        if self.first is None and batch.first is not None:
            self.first, self.file = batch.first, batch.file

    def require_papers(self) -> None:
        """Check that every record is a paper, for who looks at nothing but the exit status.

        Raises:
            ShelfmarkError: some are not, and their lines of the output say why; or there is none.
        """
        if not self.records:
            raise ShelfmarkError("--file: holds no papers")
        if self.first is not None:
            place = f"{self.file and self.file + ', '}line {self.first.line}"
            others = f"; the others are {self.done}" if self.invalid < self.records else ""
            raise ShelfmarkError(
                f"{self.invalid:,} of {self.records:,} records hold no paper, the first in "
                f"{place}: {self.first.error}{others}"
            )


def parse_batch(batch: RecordBatch) -> list[Item]:
    """Return the paper of each record of a batch, or its error."""
    return [readers.parse_record(*record) for record in batch.records]


def papers_of(items: Iterable[Item]) -> list[tuple[str, str]]:
    """Return title and abstract of each item that is a paper."""
    return [(item.title, item.abstract) for item in items if isinstance(item, InputRecord)]


def file_of(batch: RecordBatch) -> str:
    """Return the name of a batch's file as a text, "" if it is the only one."""
    return files.readable_name(batch.file)


def count_batch(batch: RecordBatch, items: list[Item], encoded: Any) -> EncodedBatch:
    """Return the encoded output of a batch with the number of its records."""
    invalid = [item for item in items if isinstance(item, InvalidRecord)]
    first = invalid[0] if invalid else None
    return EncodedBatch(len(items), len(invalid), first, encoded, batch.file)


def read_distributable(stream: PaperStream) -> tuple[Iterator[RecordBatch], bool]:
    """Return the batches of a stream, and whether they are enough to be shared among processes.

    Standard input is worked through here, as it comes.

    Raises:
        ShelfmarkError: a file cannot be read.
    """
    batches = stream.read_batches()
    if stream.files == [STANDARD]:
        return batches, False
    first = list(itertools.islice(batches, WORTH_DISTRIBUTING))
    return itertools.chain(first, batches), len(first) == WORTH_DISTRIBUTING


def write_batches(
    batches: Iterable[RecordBatch],
    work: Callable[[RecordBatch], EncodedBatch],
    sink: Sink,
    summary: FileSummary,
    title: str,
    *,
    distributed: bool = False,
) -> None:
    """Write what a function makes of each batch, in order, and count the records.

    Args:
        batches: as `read_distributable` returns them.
        work: the function; one of the top level of a module, if distributed.
        sink: of the output.
        summary: where the records are counted.
        title: of the progress bar.
        distributed: whether several processes work on the batches.

    Raises:
        ShelfmarkError: a file cannot be read, or a process was killed.
    """
    encoded = parallel.map_in_order(work, batches, workers=None if distributed else 0)
    with contextlib.closing(encoded), console.progress(title) as bar:
        for batch in encoded:
            sink.write(batch.encoded)
            summary.add(batch)
            bar.advance(batch.records)
