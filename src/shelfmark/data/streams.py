"""The records of one or several files as one stream, in which the newest record of a paper counts.

Whatever classifies or watches papers of files reads them from here.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import orjson
from loguru import logger

from shelfmark.arxiv.identifiers import paper_key
from shelfmark.core import files, parallel
from shelfmark.core.arrays import Ints
from shelfmark.core.formats.records import Record
from shelfmark.core.output.targets import STANDARD
from shelfmark.data import inputs, readers
from shelfmark.data.duplicates import Mask, hash_contents, newest_of_each, revision_number
from shelfmark.data.inputs import Setting
from shelfmark.data.readers import InputRecord
from shelfmark.data.sources.snapshot import parse_revision
from shelfmark.errors import ShelfmarkError

WORTH_SHARING = 64 << 20  # bytes of files from which on several processes are faster
NONE = np.empty(0, np.int64)
REVISION = ("id", "versions", "update_date")  # the columns that tell which record is the newest


class RecordBatch(NamedTuple):
    """Consecutive records of one file; the file is "" if it is the only one."""

    file: str
    records: list[Record]


@dataclass
class InvalidCounts:
    """Counts the records that lack what they should hold, for readers that leave them out.

    Args:
        setting: the name of the files in the log.
        wanted: what each record should hold.

    Attributes:
        read: number of records.
        invalid: number of those that lack it.
        first: place and reason of the first of them.
    """

    setting: str
    wanted: str = "paper"
    read: int = 0
    invalid: int = 0
    first: str = ""

    def add(self, file: str, line: int, error: str | None) -> None:
        """Count a record, and its error if it has one."""
        self.read += 1
        if error is not None:
            self.invalid += 1
            self.first = self.first or f"{file and file + ', '}line {line}: {error}"

    def log(self) -> None:
        """Log a warning if there are any."""
        if self.invalid:
            logger.warning(
                "{}: {:,} of {:,} records hold no {} and are left out, the first in {}",
                self.setting, self.invalid, self.read, self.wanted, self.first,
            )  # fmt: skip


class PaperStream:
    """The records of the files that a setting names, one file after the other.

    Of the records of one paper in several files, or repeated in one of them, the newest is read, as
    `newest_of_each` tells it; records without an identifier, and those that hold no paper, are all
    read. A single file is read as it stands.

    Args:
        value: the setting, as `inputs.find_files` takes it, or `-` for standard input.
        setting: its name in errors.
        columns: of a table that are read where they exist.
        needed: columns of which a table needs one.

    Attributes:
        files: paths and addresses.

    Raises:
        ShelfmarkError: as `inputs.find_files`.
    """

    def __init__(
        self,
        value: Setting,
        setting: str = "--file",
        columns: Collection[str] = readers.PAPER,
        needed: Collection[str] = readers.TEXTS,
    ) -> None:
        alone = inputs.split_list(value) == [STANDARD]
        self.files = [STANDARD] if alone else [str(x) for x in inputs.find_files(value, setting)]
        self._setting = setting
        self._columns = columns
        self._needed = needed

    def __str__(self) -> str:
        return ", ".join(self.files)

    @property
    def is_several(self) -> bool:
        """Whether there is more than one file."""
        return len(self.files) > 1

    def read_batches(self) -> Iterator[RecordBatch]:
        """Yield the records of all files; several files are read twice.

        Raises:
            ShelfmarkError: a file cannot be read, or changes while it is read.
        """
        if not self.is_several:
            source, columns = self.files[0], self._columns
            for records in readers.read_batches(source, self._setting, columns, self._needed):
                yield RecordBatch("", records)
            return
        newest, read = self._find_newest(), 0
        for batch in self._read_all():
            chosen = newest[read : read + len(batch.records)]
            read += len(batch.records)
            if len(chosen) < len(batch.records):
                break
            pairs = zip(batch.records, chosen, strict=True)
            if records := [record for record, is_newest in pairs if is_newest]:
                yield RecordBatch(batch.file, records)
        if read != len(newest):
            raise ShelfmarkError(f"{self._setting}: {self} changed while they were read: run again")
        self._log_skipped(newest)

    def read_placed(self) -> Iterator[tuple[str, int, Any]]:
        """Yield the file of each record, as `RecordBatch` has it, its line, and the record."""
        for batch in self.read_batches():
            for line, record in batch.records:
                yield batch.file, line, record

    def _read_all(self) -> Iterator[RecordBatch]:
        columns = (*self._columns, *(name for name in REVISION if name not in self._columns))
        for file in self.files:
            for records in readers.read_batches(file, self._setting, columns, self._needed):
                yield RecordBatch(file, records)

    def _find_newest(self) -> Mask:
        """Return which records are read; only numbers of each are kept. All cores read large files.

        Returns:
            Shape (records,).
        """
        size = sum(files.file_size(files.parse_location(file)) for file in self.files)
        work = functools.partial(_identify_batch, self._needed is readers.TEXTS)
        columns: tuple[list[Ints], ...] = ([], [], [], [])
        places = {file: place for place, file in enumerate(self.files)}
        found = parallel.map_in_order(work, self._read_all(), None if size >= WORTH_SHARING else 0)
        read = 0
        with contextlib.closing(found):
            for batch in found:
                file = np.full(len(batch.rows), places[batch.file])
                numbers = (batch.rows + read, batch.papers, batch.revisions, file)
                for column, part in zip(columns, numbers, strict=True):
                    column.append(part)
                read += batch.read
        chosen = np.ones(read, bool)
        rows, *numbers_of_rows = (np.concatenate(column) if column else NONE for column in columns)
        chosen[rows] = newest_of_each(*numbers_of_rows)
        return chosen

    def _log_skipped(self, newest: Mask) -> None:
        if skipped := int((~newest).sum()):
            logger.info(
                "{}: {:,} of {:,} records in {} files left out, as another is the newest of its "
                "paper", self._setting, skipped, len(newest), len(self.files),
            )  # fmt: skip


class _Identified(NamedTuple):
    """The records of a batch that name a paper.

    Args:
        file: of the batch.
        read: number of records of the batch.
        rows: which of them name a paper, from 0.
        papers: the hash of the paper of each of these.
        revisions: the revision of each of these.
    """

    file: str
    read: int
    rows: Ints
    papers: Ints
    revisions: Ints


def _identify_batch(by_text: bool, batch: RecordBatch) -> _Identified:
    rows, keys, revisions = [], [], []
    for row, (line, record) in enumerate(batch.records):
        if (identity := _identify(by_text, line, record)) is not None:
            rows.append(row)
            keys.append(identity[0])
            revisions.append(identity[1])
    numbers = np.array(rows, np.int64), hash_contents(keys), np.array(revisions, np.int64)
    return _Identified(batch.file, len(batch.records), *numbers)


def _identify(by_text: bool, line: int, record: Any) -> tuple[bytes, int] | None:
    """Return the key of a record's paper and its revision, None if it names no paper.

    Args:
        by_text: whether a record without a text is none: it replaces none, and its error is not
            lost.
        line: of the record.
        record: as it was read.
    """
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError:
            return None
    if not isinstance(record, dict) or (key := paper_key(record.get("id"))) is None:
        return None
    if by_text and not isinstance(readers.parse_record(line, record), InputRecord):
        return None
    return key.encode(), revision_number(*parse_revision(record))
