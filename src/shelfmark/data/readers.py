"""Papers to classify: text lines, JSON lines, CSV or Parquet, in batches as they arrive."""

from __future__ import annotations

import io
import itertools
import queue
import sys
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from shelfmark.core import files
from shelfmark.core.files import Location
from shelfmark.data.csv_rows import open_rows
from shelfmark.errors import ShelfmarkError

BATCH = 1024  # records
JSON_LINES = (".json", ".jsonl", ".ndjson")
ABSTRACTS = ("abstract", "summary")  # names in the snapshot and the CSV
TEXTS = ("text", "title", *ABSTRACTS)
PAPER = ("id", *TEXTS)  # the columns of a paper in a table

# A line number, and the record of that line: bytes of JSON, or the fields of a row.
Record = tuple[int, Any]


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
    source: str, setting: str = "--file", columns: Collection[str] = PAPER
) -> Iterator[list[Record]]:
    """Stream the records of a file: text lines, JSON lines, CSV or Parquet, compressed or not.

    Args:
        source: the file, or `-` for standard input, of which a batch holds the lines that have
            arrived. If its suffix is unknown, a line that begins with `{` is JSON, any other text.
        setting: the name of the source in errors.
        columns: of a CSV or Parquet file that are read where they exist.

    Raises:
        ShelfmarkError: the file is missing or damaged, or has no column with a text.
    """
    if source != "-":
        records = _records(files.require_file(source, setting), columns)
        yield from iter(lambda: list(itertools.islice(records, BATCH)), [])
        return
    numbers = itertools.count(1)
    # Not `sys.stdin`, and never closed: both would wait at exit for the reading thread.
    stream = io.FileIO(sys.stdin.fileno(), closefd=False)
    for lines in _read_arriving_lines(io.BufferedReader(stream)):
        yield [(next(numbers), _record(line, "")) for line in lines]


def _read_arriving_lines(stream: io.BufferedReader) -> Iterator[list[bytes]]:
    """Yield the lines of a stream as they arrive, up to a batch at a time."""
    arrived: queue.Queue[bytes | OSError] = queue.Queue(2 * BATCH)

    def read_ahead() -> None:
        try:
            for line in stream:
                arrived.put(line)
            arrived.put(b"")
        except OSError as error:
            arrived.put(error)

    # A daemon: at exit it may still wait for a line.
    threading.Thread(target=read_ahead, daemon=True).start()
    lines: list[bytes] = []
    while line := arrived.get():
        if isinstance(line, OSError):
            raise ShelfmarkError(f"standard input: {line.strerror or line}") from line
        lines.append(line)
        if arrived.empty() or len(lines) == BATCH:
            yield lines
            lines = []
    if lines:
        yield lines


def _records(place: Location, columns: Collection[str]) -> Iterator[Record]:
    kind = files.format_suffix(place)
    if kind == ".parquet":
        yield from enumerate(files.read_parquet_rows(place, BATCH, columns), 1)
        return
    if kind == ".csv":
        yield from _csv(place, columns)
        return
    with files.open_decompressed(place) as file:
        yield from _lines(file, kind)


def _lines(file: Iterable[bytes], kind: str) -> Iterator[Record]:
    for number, line in enumerate(file, 1):
        yield number, _record(line, kind)


def _record(line: bytes, kind: str) -> Any:
    if kind in JSON_LINES or (kind != ".txt" and line.lstrip()[:1] == b"{"):
        return line
    return {"text": line.decode("utf-8", "replace")}


def _csv(place: Location, columns: Collection[str]) -> Iterator[Record]:
    with open_rows(place, columns) as rows:
        if not rows.columns.keys() & set(TEXTS):
            raise ShelfmarkError(f"{place}: line 1 has no column text, title, abstract or summary")
        yield from rows


def parse_record(line: int, record: Any) -> InputRecord | InvalidRecord:
    """Return the paper of a record with `text`, or `title` and `abstract` (or `summary`)."""
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError as error:
            return InvalidRecord(line, f"broken JSON: {error}")
    if not isinstance(record, dict):
        return InvalidRecord(line, "not an object with text, or title and abstract")
    ident = None if record.get("id") is None else str(record["id"])
    title, abstract = record.get("title"), record.get("text")
    if abstract is None:
        abstract = next((record[name] for name in ABSTRACTS if record.get(name)), None)
    else:
        title = None
    for name, value in (("title", title), ("text or abstract", abstract)):
        if value is not None and not isinstance(value, str):
            return InvalidRecord(line, f"{name} is {type(value).__name__}, not text", ident)
    if not (title or "").strip() and not (abstract or "").strip():
        return InvalidRecord(line, "no text: give text, or title and abstract", ident)
    return InputRecord(line, ident, title or "", abstract or "")
