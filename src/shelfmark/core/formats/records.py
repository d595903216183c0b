"""The records of a file: lines of text, JSON, or rows of a table, whatever it is packed in."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from shelfmark.core.files import Location
from shelfmark.core.formats import csv_rows, json_values, signatures
from shelfmark.core.formats.csv_rows import NOT_UTF8, BadRow, CsvRows
from shelfmark.core.formats.encoding import is_blank, open_text, without_mark
from shelfmark.core.formats.json_values import JsonValues
from shelfmark.core.formats.streams import Stream
from shelfmark.core.formats.tables import TableRows
from shelfmark.core.formats.unpack import Content, open_content, unpack

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv", ".tab")
JSON_OBJECT = re.compile(rb'\s*\{\s*(?:"|\}|$)')  # TeX has other signs after its brace
STANDARD_INPUT = "standard input"
Kind = Literal["text lines", "JSON", "a table"]
# A line or row number, and the record of it: bytes of JSON, fields of a row, or why it is none.
Record = tuple[int, Any]


@dataclass(frozen=True)
class Records:
    """The records of a file, each with its line or, of tables and JSON values, its number, from 1.

    Args:
        kind: what they are: `{"text": line}` of a line of text, bytes of JSON, a dict of a row's
            chosen columns, or a `BadRow` in place of any.
        place: the name of the file in errors.
        records: the stream.
        names: of all columns of a table.
        columns: the chosen columns that a table has.
    """

    kind: Kind
    place: str
    records: Iterable[Record]
    names: tuple[str, ...] = ()
    columns: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Record]:
        """Yield the records.

        Raises:
            ShelfmarkError: the file is damaged, or cannot be reached.
        """
        return iter(self.records)


@contextlib.contextmanager
def open_records(
    location: Location | None, columns: Collection[str], texts: Collection[str] = ()
) -> Iterator[Records]:
    """Open the records of a file; what it holds is settled by its first bytes.

    Args:
        location: the file; None for standard input, whose records come as they arrive.
        columns: of a table that are read where they exist.
        texts: the columns of which a header without the suffix of a table has one.

    Raises:
        ShelfmarkError: the file cannot be reached, is damaged, or holds nothing that is read here.
    """
    with contextlib.ExitStack() as stack:
        waiting = location is None
        if location is None:
            content = unpack(_standard_input(), stack)
        else:
            content = stack.enter_context(open_content(location))
        form = signatures.identify_form(content.stream.head)
        if form is not None:
            table = TableRows(form, content, location, columns, stack)
            yield _table(content.place, table)
            return
        text = open_text(content, waiting=waiting)
        suffix = PurePosixPath(content.name).suffix.lower()
        yield _open_text_records(text, suffix, columns, texts)


def _standard_input() -> Content:
    # Not `sys.stdin`, and never closed: both would wait at exit for the reading thread.
    file = io.FileIO(sys.stdin.fileno(), closefd=False)
    stream = Stream(_Arriving(file.fileno()), STANDARD_INPUT, sized=False)
    stream.look(signatures.TAR_BLOCK, until=b"\n")
    return Content(stream, "", STANDARD_INPUT)


class _Arriving:
    """A descriptor, of which as many bytes are read as have arrived."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int) -> bytes:
        return os.read(self._descriptor, size)


def _table(place: str, rows: TableRows | CsvRows) -> Records:
    return Records("a table", place, rows, tuple(rows.names), frozenset(rows.columns))


def _open_text_records(
    text: Stream, suffix: str, columns: Collection[str], texts: Collection[str]
) -> Records:
    first = b"".join(text.peek_lines(1))
    kind = _kind_of(first, suffix, texts)
    if kind == "JSON":
        # A second line is waited for only where the first one is open.
        second = b"" if json_values.is_json(first) else b"".join(text.peek_lines(2)[1:])
        if json_values.is_spread(first, second):
            return Records(kind, text.place, JsonValues(text))
        if suffix in JSON_SUFFIXES:
            return Records(kind, text.place, _json_lines(text.lines()))
    if kind == "a table":
        lines = map(without_mark, text.lines())
        return _table(text.place, CsvRows(lines, text.place, columns))
    return Records(kind, text.place, _mixed_lines(text.lines()))


def _kind_of(first: bytes, suffix: str, texts: Collection[str]) -> Kind:
    """Return what a text holds, by its first line, and by its suffix where that says nothing."""
    start = first.strip()
    if JSON_OBJECT.match(start) or json_values.ARRAY.match(start):
        return "JSON"
    header = start.decode("utf-8", "replace")
    if suffix in TABLE_SUFFIXES or csv_rows.is_header(header, texts):
        return "a table"
    return "JSON" if suffix in JSON_SUFFIXES else "text lines"


def _json_lines(lines: Iterable[bytes]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not line.isspace() and not is_blank(line):
            yield number, without_mark(line)


def _mixed_lines(lines: Iterable[bytes]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not is_blank(line):
            yield number, _text_or_json(without_mark(line))


def _text_or_json(line: bytes) -> Any:
    # A line that is a JSON array, such as one of texts, is no paper; TeX writes none.
    if JSON_OBJECT.match(line) or (line.lstrip().startswith(b"[") and json_values.is_json(line)):
        return line
    try:
        return {"text": line.decode()}
    except UnicodeDecodeError:
        return BadRow(NOT_UTF8)


@contextlib.contextmanager
def open_lines(location: Location) -> Iterator[Iterator[bytes]]:
    """Open the lines of a text, unpacked, in UTF-8, each ending in a line feed.

    Raises:
        ShelfmarkError: as `open_records`.
    """
    with open_content(location) as content:
        yield open_text(content).lines()
