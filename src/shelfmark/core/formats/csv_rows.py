"""The rows of a CSV file of any separator, strictly.

A row that is not what the header says is refused by its line; the rows behind it are read.

Format: RFC 4180, and what spreadsheets write beside it: `sep=;`, semicolons, tabs, cells without a
name at the end of each row.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from shelfmark.errors import ShelfmarkError

LONGEST = 1 << 20  # characters of a cell
SEPARATORS = (",", ";", "\t", "|")
NO_SEPARATOR = "\x1f"  # of a single column: each line is its cell
NOT_UTF8 = "is not UTF-8; convert the file with iconv"
LONGEST_NAME = 40  # characters of a column; a text is longer


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row, line or value that is none of what the file should hold, and why."""

    reason: str


def plain_name(name: str) -> str:
    """Return a column's name as names are compared: without case and blanks."""
    return "".join(name.split()).casefold()


def choose_columns(names: Iterable[str], wanted: Collection[str], place: str) -> dict[str, int]:
    """Return the place of each wanted column that exists, from 0; case and blanks do not count.

    Raises:
        ShelfmarkError: two columns have one of the wanted names.
    """
    plain = {plain_name(name): name for name in wanted}
    columns: dict[str, int] = {}
    for at, name in enumerate(names):
        known = plain.get(plain_name(name))
        if known is None:
            continue
        if known in columns:
            raise ShelfmarkError(
                f"{place}: line 1: columns {columns[known] + 1} and {at + 1} are both named "
                f"{known}; rename or remove one"
            )
        columns[known] = at
    return columns


def shorten_names(names: Sequence[str]) -> str:
    """Return the names of columns for an error: the first ones, each in a few characters."""
    shown = ", ".join(f"{name:.{LONGEST_NAME}}" for name in names[:6])
    return f"{shown}, …" if len(names) > 6 else shown or "blank lines"


def find_separator(header: str, wanted: Collection[str]) -> str:
    """Return the separator of a header: the one that finds most of the wanted columns."""
    plain = {plain_name(name) for name in wanted}

    def count_known(separator: str) -> tuple[int, int]:
        cells = _cells(header, separator)
        return sum(plain_name(cell) in plain for cell in cells), len(cells)

    best = max(SEPARATORS, key=count_known)  # of equals, the first
    return best if count_known(best)[1] > 1 else NO_SEPARATOR


def is_header(line: str, texts: Collection[str]) -> bool:
    """Whether a line is the header of a table: several short names, one of them of a text."""
    if _named_separator(line):
        return True
    names = [plain_name(cell) for cell in _cells(line, find_separator(line, texts))]
    known = set(map(plain_name, texts)) & set(names)
    return len(names) > 1 and bool(known) and all(len(name) < LONGEST_NAME for name in names)


def _named_separator(line: str) -> str:
    """Return the separator that a first line `sep=;` names, "" of any other line."""
    match = re.fullmatch(r"\s*\"?sep=([^\r\n])\"?[\r\n]*", line, re.IGNORECASE)
    return match[1] if match else ""


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []


class CsvRows:
    """Streams the rows below the header of a CSV file, each with its line.

    A row is a dict of the chosen columns alone: the work is in proportion to the size of the file
    also where a header of a million names is followed by a million short rows.

    Args:
        lines: the file's lines, UTF-8.
        place: the name of the file in errors.
        wanted: the columns to keep where they exist.

    Attributes:
        names: the names in the header.
        columns: the place of each chosen column that exists.

    Raises:
        ShelfmarkError: the header is not CSV, or two of its columns have a wanted name.
    """

    def __init__(self, lines: Iterable[bytes], place: str, wanted: Collection[str]) -> None:
        csv.field_size_limit(LONGEST)
        self._lines = _Lines(lines)
        first = self._lines.skip_blank()
        if separator := _named_separator(first):
            first = self._lines.skip_blank()
        self._lines.push_back([first] if first else [])
        self._reader = csv.reader(
            self._lines,
            delimiter=separator or find_separator(first, wanted),
            skipinitialspace=True,
            strict=True,
        )
        self._lines.begin_row()
        try:
            self.names = next(self._reader, [])
        except csv.Error as error:
            raise ShelfmarkError(f"{place}: line {self._lines.first}: {_reason(error)}") from error
        self.columns = choose_columns(self.names, wanted, place)
        self._wanted = {plain_name(name) for name in wanted}

    def __iter__(self) -> Iterator[tuple[int, dict[str, str] | BadRow]]:
        """Yield the line at which each row begins, and its cells or why it is no row."""
        while True:
            self._lines.begin_row()
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                # The rows that an open quote has swallowed are read on their own.
                line = self._lines.take_back_all_but_first()
                yield line, BadRow(_reason(error))
                continue
            if any(map(str.strip, cells)) and not self._repeats_header(cells):
                yield self._lines.first, self._row(cells)

    def _repeats_header(self, cells: list[str]) -> bool:
        """Whether a row is the header again, as where files are joined to one."""
        return [*map(str.strip, cells)] == [*map(str.strip, self.names)]

    def _row(self, cells: list[str]) -> dict[str, str] | BadRow:
        named, size = len(self.names), len(cells)
        if size < named or any(map(str.strip, cells[named:])):
            return BadRow(f"{size} cells under {named} columns; put texts in quotes")
        row = {name: cells[at] for name, at in self.columns.items()}
        if len(row) > 1 and all(plain_name(cell) in self._wanted for cell in row.values()):
            return BadRow("a header again, of other columns; read the joined files one by one")
        if not all(map(_is_unicode, row.values())):
            return BadRow(NOT_UTF8)
        return row


def _is_unicode(cell: str) -> bool:
    # Bytes that are not UTF-8 are read as surrogates, which no text may hold.
    return cell.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in cell)


def _reason(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end of data" in text or "field larger" in text:
        return "a quote is opened and not closed"
    if "expected after" in text:
        return "text follows a closing quote; write a quote within a cell twice"
    return text


class _Lines:
    """The lines of a file for `csv.reader`, those of a row being kept until the next begins.

    Attributes:
        number: of the line that was given last, from 1.
        first: of the first line of the row.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._new = iter(lines)
        self._again: deque[str] = deque()
        self._row: list[str] = []
        self.number = 0
        self.first = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._decode(next(self._new))
        self.number += 1
        if not self._row:
            self.first = self.number
        self._row.append(line)
        return line

    def _decode(self, line: bytes) -> str:
        return line.decode("utf-8", "surrogateescape")

    def skip_blank(self) -> str:
        """Return the next line that is not blank, "" at the end."""
        return next(itertools.dropwhile(lambda line: not line.strip(), self), "")

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self._row.clear()

    def push_back(self, lines: list[str]) -> None:
        """Give lines again, which were given last."""
        self._again.extendleft(reversed(lines))
        self.number -= len(lines)

    def take_back_all_but_first(self) -> int:
        """Give all lines of the row but its first again, and return the number of that one."""
        self.push_back(self._row[1:])
        return self.first
