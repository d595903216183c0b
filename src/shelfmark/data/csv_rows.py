"""The rows of a CSV file, of which only the columns that somebody reads are kept."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Collection, Iterator

from shelfmark.core import files
from shelfmark.core.files import Location
from shelfmark.errors import ShelfmarkError

LONGEST = 1 << 24  # characters of a cell


class CsvRows:
    """Streams the rows below the header of a CSV file, each with its line.

    A row is a dict of the chosen columns alone: the work is in proportion to the size of the file
    also where a header of a million names is followed by a million short rows.

    Args:
        text: the open file.
        place: the name of the file in errors.
        names: the columns to keep where they exist; of two with the same name, the last.

    Attributes:
        columns: the place of each chosen column that exists.

    Raises:
        ShelfmarkError: the header is not CSV.
    """

    def __init__(self, text: io.TextIOWrapper, place: Location, names: Collection[str]) -> None:
        csv.field_size_limit(LONGEST)
        self._rows = csv.reader(text)
        self._place = place
        header = next(self._cells(), [])
        self.columns = {name: at for at, name in enumerate(header) if name in names}

    def __iter__(self) -> Iterator[tuple[int, dict[str, str | None]]]:
        """Yield the line at which each row ends, and its cells; None stands for those it lacks.

        Raises:
            ShelfmarkError: a row is not CSV.
        """
        columns = self.columns.items()
        for cells in self._cells():
            if cells:
                size = len(cells)
                yield (
                    self._rows.line_num,
                    {name: cells[at] if at < size else None for name, at in columns},
                )

    def _cells(self) -> Iterator[list[str]]:
        try:
            yield from self._rows
        except csv.Error as error:
            raise ShelfmarkError(f"{self._place}: line {self._rows.line_num}: {error}") from error


@contextlib.contextmanager
def open_rows(location: Location, names: Collection[str]) -> Iterator[CsvRows]:
    """Open a CSV file, compressed or not, in UTF-8 with or without a byte order mark.

    Raises:
        ShelfmarkError: as `files.open_decompressed` and `CsvRows`.
    """
    with (
        files.open_decompressed(location) as content,
        io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace", newline="") as text,
    ):
        yield CsvRows(text, location, names)
