"""Sinks of an output: encoded batches are written in order, to a file or to standard output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from shelfmark.core import files, storage
from shelfmark.core.output.compression import GuardedFile
from shelfmark.core.output.targets import STANDARD
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_BYTES = 32 << 20  # of the rows that become a row group of Parquet


class Sink(Protocol):
    """Takes encoded batches, in order."""

    def write(self, encoded: Any) -> None:
        """Write one batch."""


def require_local_file(out: str, setting: str = "--out") -> None:
    """Check that the name of an output is that of a local file.

    Raises:
        ShelfmarkError: it is empty, a folder or an address.
    """
    if not out:
        raise ShelfmarkError(
            f"{setting}: the name is empty: leave {setting} away for standard output"
        )
    if out.endswith("/"):
        raise ShelfmarkError(f"{setting}: {out} is a folder, a file is needed")
    if storage.is_remote(out):
        raise ShelfmarkError(
            f"{setting}: {out} is an address: write to a local file, and copy that"
        )


@contextlib.contextmanager
def open_output(out: str) -> Iterator[IO[bytes]]:
    """Yield the file of an output, which appears whole after the block; `-` is standard output.

    Raises:
        ShelfmarkError: it cannot be written.
        OutputClosedError: it is a pipe whose reader has ended.
    """
    if out == STANDARD:
        yield sys.stdout.buffer
    else:
        with files.atomic_write(Path(out)) as file:
            yield file


class ByteSink:
    """Writes bytes as they come.

    Args:
        file: where they go.
        flush: whether each batch is passed on at once.
    """

    def __init__(self, file: IO[bytes], *, flush: bool) -> None:
        self._file, self._flush = file, flush

    def write(self, encoded: bytes) -> None:
        """Write bytes."""
        self._file.write(encoded)
        if self._flush:
            self._file.flush()


class ParquetSink:
    """Collects rows until they make a row group, so that memory stays flat.

    Args:
        writer: of the file.
    """

    def __init__(self, writer: Any) -> None:
        self._writer, self._rows, self._size = writer, list[Any](), 0

    def write(self, encoded: pa.RecordBatch) -> None:
        """Add rows."""
        self._rows.append(encoded)
        self._size += encoded.nbytes
        if self._size >= GROUP_BYTES:
            self.end_group()

    def end_group(self) -> None:
        """Write the collected rows as a row group."""
        import pyarrow as pa  # imported here because the service runs without it

        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._rows))
        self._rows, self._size = [], 0


@contextlib.contextmanager
def open_parquet(file: IO[bytes], schema: pa.Schema, **options: Any) -> Iterator[ParquetSink]:
    """Yield a sink of rows of Parquet, whose file ends after the block unless the block fails.

    Args:
        file: where the rows go.
        schema: of the rows.
        options: of `pyarrow.parquet.ParquetWriter`.
    """
    import pyarrow.parquet as pq

    guarded = GuardedFile(file)
    opened = pq.ParquetWriter(guarded, schema, compression="zstd", **options)
    with opened as writer, guarded.drop_after_failure():
        sink = ParquetSink(writer)
        yield sink
        sink.end_group()
