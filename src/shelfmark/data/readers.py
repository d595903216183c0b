"""Papers to classify: the records of a file of any kind, in batches as they arrive."""

from __future__ import annotations

import functools
import itertools
import queue
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from shelfmark.arxiv.text import is_blank
from shelfmark.core import files
from shelfmark.core.files import Location
from shelfmark.core.formats.csv_rows import LONGEST_NAME, BadRow, plain_name, shorten_names
from shelfmark.core.formats.records import Record, open_records
from shelfmark.errors import ShelfmarkError

BATCH = 1024  # records
ABSTRACTS = ("abstract", "summary")  # names in the snapshot and the CSV
TEXTS = ("text", "title", *ABSTRACTS)
PAPER = ("id", *TEXTS)  # the columns of a paper in a table


@dataclass(frozen=True, slots=True)
class InputRecord:
    """A paper to classify: its line in the file, its identifier or None, its text."""

    line: int
    id: str | None
    title: str
    abstract: str


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """A line that holds no paper, its error, and its identifier or None."""

    line: int
    error: str
    id: str | None = None


def read_batches(
    source: str,
    setting: str = "--file",
    columns: Collection[str] = PAPER,
    needed: Collection[str] = TEXTS,
) -> Iterator[list[Record]]:
    """Stream the records of a file: text lines, JSON, CSV, Parquet or Arrow, packed or not.

    Args:
        source: the file, or `-` for standard input, of which a batch holds what has arrived.
        setting: the name of the source in errors.
        columns: of a table that are read where they exist.
        needed: columns of which a table needs one.

    Raises:
        ShelfmarkError: the file is missing or damaged, holds nothing that is read here, or is a
            table that has none of the needed columns.
    """
    if source == "-":
        yield from _read_arriving(columns, needed)
        return
    records = _records(files.require_file(source, setting), columns, needed)
    yield from iter(lambda: list(itertools.islice(records, BATCH)), [])


def _records(
    location: Location | None, columns: Collection[str], needed: Collection[str]
) -> Iterator[Record]:
    with open_records(location, columns, needed) as records:
        if records.kind == "a table" and not records.columns & set(needed):
            raise ShelfmarkError(
                f"{records.place}: has no column {_alternatives(needed)}, only "
                f"{shorten_names(records.names)}"
            )
        yield from records


def _alternatives(names: Collection[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"


def _read_arriving(columns: Collection[str], needed: Collection[str]) -> Iterator[list[Record]]:
    """Yield the records of standard input as they arrive, up to a batch at a time."""
    arrived: queue.Queue[Record | Exception | None] = queue.Queue(2 * BATCH)

    def read_ahead() -> None:
        try:
            for record in _records(None, columns, needed):
                arrived.put(record)
            arrived.put(None)
        except Exception as error:  # raised again by the reader below
            arrived.put(error)

    # A daemon: at exit it may still wait for a line.
    threading.Thread(target=read_ahead, daemon=True).start()
    batch: list[Record] = []
    while (record := arrived.get()) is not None:
        if isinstance(record, Exception):
            raise record
        batch.append(record)
        if arrived.empty() or len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def parse_record(line: int, record: Any) -> InputRecord | InvalidRecord:
    """Return the paper of a record with `text`, or `title` and `abstract` (or `summary`)."""
    if isinstance(record, BadRow):
        return InvalidRecord(line, record.reason)
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError as error:
            return InvalidRecord(line, f"broken JSON: {error}")
    if not isinstance(record, dict):
        return InvalidRecord(line, "not an object with text, or title and abstract")
    named = _by_plain_names(record)
    if len(named) < sum(_column(key) is not None for key in record):
        return InvalidRecord(line, "has two fields of one name, but for capitals and blanks")
    record = named
    ident = None if record.get("id") is None else str(record["id"]).strip()
    title, abstract = record.get("title"), record.get("text")
    if _is_blank(abstract):
        abstract = next((record[name] for name in ABSTRACTS if not _is_blank(record.get(name))), "")
    else:
        title = None
    for name, value in (("title", title), ("text or abstract", abstract)):
        if value is not None and not isinstance(value, str):
            return InvalidRecord(line, f"{name} is {type(value).__name__}, not text", ident)
    if _is_blank(title) and _is_blank(abstract):
        return InvalidRecord(line, "no text: give text, or title and abstract", ident)
    return InputRecord(line, ident, title or "", abstract or "")


def _by_plain_names(record: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a paper; names are compared as those of columns are."""
    return {name: value for key, value in record.items() if (name := _column(key)) is not None}


@functools.lru_cache(maxsize=1024)
def _column(key: str) -> str | None:
    name = plain_name(key) if len(key) < LONGEST_NAME else ""
    return name if name in PAPER else None


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and is_blank(value))
