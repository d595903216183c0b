"""The rows of tables in Parquet and Arrow files, a batch at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from shelfmark.core.files import Location
from shelfmark.core.formats.csv_rows import NOT_UTF8, BadRow, choose_columns
from shelfmark.core.formats.signatures import Form
from shelfmark.core.formats.unpack import Content
from shelfmark.errors import ShelfmarkError

BATCH = 4096  # rows


class TableRows:
    """Streams the rows of a table as dictionaries of the chosen columns, each with its number.

    Args:
        form: of the file.
        content: the file.
        location: where it lies, if it is not packed: Arrow reads a path faster than a stream.
        wanted: the columns to read where they exist; case and blanks of names do not count.
        stack: closes what is opened.

    Attributes:
        names: the names of all columns.
        columns: the place of each chosen column that exists.

    Raises:
        ShelfmarkError: the file is damaged, or two columns have a wanted name.
    """

    def __init__(
        self,
        form: Form,
        content: Content,
        location: Location | None,
        wanted: Collection[str],
        stack: contextlib.ExitStack,
    ) -> None:
        self._form = form
        self._place = content.place
        source: Any = location if isinstance(location, Path) and content.file else None
        with self._one_line_errors():
            source = source or content.seekable(stack)
            self.names, self._batches = _OPENERS[form](source, stack)
            self.columns = choose_columns(self.names, wanted, content.place)

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
        """Yield the number of each row, from 1, and its values; binary ones are read as text.

        Raises:
            ShelfmarkError: the file is damaged.
        """
        number = 0
        with self._one_line_errors():
            for batch in self._batches([self.names[at] for at in self.columns.values()]):
                for row in batch.rename_columns(list(self.columns)).to_pylist():
                    number += 1
                    yield number, _decode(row)

    @contextlib.contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        # An OverflowError is of a date that Python has not.
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise ShelfmarkError(
                f"{self._place}: not a readable {self._form} file ({error})"
            ) from error


def _decode(row: dict[str, Any]) -> dict[str, Any] | BadRow:
    # Some writers, such as those of Hive, do not note that a column of bytes is text.
    if not any(isinstance(value, bytes) for value in row.values()):
        return row
    try:
        return {key: x.decode() if isinstance(x, bytes) else x for key, x in row.items()}
    except UnicodeDecodeError:
        return BadRow(NOT_UTF8)


Batches = Iterator[Any]  # of pyarrow.RecordBatch


def _slices(batch: Any, names: list[str]) -> Batches:
    for start in range(0, batch.num_rows, BATCH):
        yield batch.slice(start, BATCH).select(names)


def _open_parquet(source: Any, stack: contextlib.ExitStack) -> tuple[list[str], Any]:
    import pyarrow.parquet as pq

    table = stack.enter_context(pq.ParquetFile(source))
    return table.schema_arrow.names, lambda names: table.iter_batches(BATCH, columns=names)


def _open_arrow(source: Any, stack: contextlib.ExitStack) -> tuple[list[str], Any]:
    import pyarrow as pa

    file = stack.enter_context(pa.OSFile(str(source), "rb")) if isinstance(source, Path) else source
    reader = stack.enter_context(pa.ipc.open_file(file))

    def batches(names: list[str]) -> Batches:
        for number in range(reader.num_record_batches):
            yield from _slices(reader.get_batch(number), names)

    return reader.schema.names, batches


def _open_arrow_stream(source: Any, stack: contextlib.ExitStack) -> tuple[list[str], Any]:
    import pyarrow as pa

    file = stack.enter_context(pa.OSFile(str(source), "rb")) if isinstance(source, Path) else source
    reader = stack.enter_context(pa.ipc.open_stream(file))

    def batches(names: list[str]) -> Batches:
        for batch in reader:
            yield from _slices(batch, names)

    return reader.schema.names, batches


_OPENERS: dict[Form, Callable[[Any, contextlib.ExitStack], tuple[list[str], Any]]] = {
    Form.PARQUET: _open_parquet,
    Form.ARROW: _open_arrow,
    Form.ARROW_STREAM: _open_arrow_stream,
}
