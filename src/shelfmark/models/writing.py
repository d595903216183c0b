"""Writes predictions as JSON lines, CSV, TSV or Parquet, compressed or not, as the name says."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol

import orjson

from shelfmark.core import files, storage
from shelfmark.core.output import targets
from shelfmark.core.output.cells import escape_formula
from shelfmark.core.output.compression import COMPRESSORS, GuardedFile, compress
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    import pyarrow as pa

STANDARD_OUTPUT = targets.STANDARD
JSON_LINES = ("", ".jsonl", ".ndjson", ".json")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = ".parquet"
WRITABLE = (
    f"{', '.join(JSON_LINES[1:])} or no suffix (JSON lines), {', '.join(SEPARATORS)}, each also "
    f"with {', '.join(COMPRESSORS)}, and {PARQUET}"
)
# The columns of a table. The nested ones are JSON in CSV and TSV, lists and structs in Parquet.
FLAT = ("line", "id", "category", "name", "archive", "group", "confidence", "confident",
        "second_category", "second_confidence", "error")  # fmt: skip
NESTED = ("ranking", "cross_lists", "why")
GROUP_BYTES = 32 << 20  # of the rows that become a row group of Parquet

Line = dict[str, Any]  # as it is written as JSON: a prediction, or an error in its place


class Sink(Protocol):
    """Takes the encoded lines, in order."""

    def write(self, encoded: Any) -> None:
        """Write what `OutputFormat.encode` returned."""


@dataclass(frozen=True)
class OutputFormat:
    """How predictions are written.

    Args:
        kind: the suffix of the format.
        compression: that of the compression, or "".
        explain: whether a table has the column `why`.
        several: whether it has the column `file`, as the lines come from several.
    """

    kind: str = ""
    compression: str = ""
    explain: bool = False
    several: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table."""
        files = ("file",) if self.several else ()
        return (*files, *FLAT, *(NESTED if self.explain else NESTED[:-1]))

    def encode(self, lines: Sequence[Line]) -> bytes | pa.RecordBatch:
        """Return lines as bytes, or as rows of Parquet; another process may do it."""
        if self.kind in JSON_LINES:
            return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
        rows = [_row(line) for line in lines]
        if self.kind == PARQUET:
            import pyarrow as pa  # imported here because JSON lines need no such library

            return pa.RecordBatch.from_pylist(rows, schema=_schema(self.columns))
        return self._encode_cells([map(_cell, map(row.get, self.columns)) for row in rows])

    @contextlib.contextmanager
    def open(self, out: str) -> Iterator[Sink]:
        """Open an output, which appears whole after the block; `-`, a device or a pipe is a stream.

        Raises:
            ShelfmarkError: it cannot be written.
            OutputClosedError: it is a pipe whose reader has ended.
        """
        with _open_file(out) as file, compress(file, self.compression) as packed:
            if self.kind == PARQUET:
                with _open_parquet(packed, _schema(self.columns)) as rows:
                    yield rows
                return
            if self.kind in SEPARATORS:
                packed.write(self._encode_cells([self.columns]))
            # A compressed file is smaller if it is not flushed.
            yield _ByteSink(packed, flush=not self.compression)

    def _encode_cells(self, rows: Any) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=SEPARATORS[self.kind], lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


def parse_format(out: str, explain: bool = False) -> OutputFormat:
    """Return the format that the name of an output asks for.

    Args:
        out: path, or `-` for standard output, which takes JSON lines.
        explain: whether predictions are explained.

    Raises:
        ShelfmarkError: it is no path of a file, or of a format that is not written here.
    """
    if out == STANDARD_OUTPUT:
        return OutputFormat()
    if not out:
        raise ShelfmarkError("--out: the name is empty: leave --out away for standard output")
    if out.endswith("/"):
        raise ShelfmarkError(f"--out: {out} is a folder, a file is needed")
    if storage.is_remote(out):
        raise ShelfmarkError(f"--out: {out} is an address: write to a local file, and copy that")
    suffixes = [suffix.lower() for suffix in PurePosixPath(out).suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSORS else ""
    kind = suffixes[-1] if suffixes else ""
    if kind == PARQUET and compression:
        raise ShelfmarkError(
            f"--out: {out}: Parquet is compressed already: leave {compression} out"
        )
    if kind not in (*JSON_LINES, *SEPARATORS, PARQUET):
        raise ShelfmarkError(f"--out: {out}: {kind}{compression} is not written; choose {WRITABLE}")
    return OutputFormat(kind, compression, explain)


@contextlib.contextmanager
def _open_file(out: str) -> Iterator[IO[bytes]]:
    if out == STANDARD_OUTPUT:
        yield sys.stdout.buffer
    else:
        with files.atomic_write(Path(out)) as file:
            yield file


class _ByteSink:
    def __init__(self, file: IO[bytes], *, flush: bool) -> None:
        self._file, self._flush = file, flush

    def write(self, encoded: bytes) -> None:
        self._file.write(encoded)
        if self._flush:
            self._file.flush()


class _ParquetSink:
    """Collects rows until they make a row group, so that memory stays flat."""

    def __init__(self, writer: Any) -> None:
        self._writer, self._rows, self._size = writer, list[Any](), 0

    def write(self, encoded: pa.RecordBatch) -> None:
        self._rows.append(encoded)
        self._size += encoded.nbytes
        if self._size >= GROUP_BYTES:
            self.end_group()

    def end_group(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._rows))
        self._rows, self._size = [], 0


@contextlib.contextmanager
def _open_parquet(file: IO[bytes], schema: pa.Schema) -> Iterator[_ParquetSink]:
    import pyarrow.parquet as pq

    guarded = GuardedFile(file)
    opened = pq.ParquetWriter(guarded, schema, compression="zstd")
    with opened as writer, guarded.drop_after_failure():
        sink = _ParquetSink(writer)
        yield sink
        sink.end_group()


def _row(line: Line) -> Line:
    """Return a line as a row of a table, its nested parts as plain lists and dicts."""
    row: Line = orjson.loads(orjson.dumps(line))
    if len(ranking := row.get("ranking", [])) > 1:
        row["second_category"] = ranking[1]["category"]
        row["second_confidence"] = ranking[1]["probability"]
    return row


def _cell(value: Any) -> str:
    """Return a value as the cell of a table."""
    if value is None:
        return ""
    if isinstance(value, str):
        return escape_formula(value)
    return orjson.dumps(value).decode()


def _schema(columns: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    rank = {"category": text, "name": text, "group": text, "probability": number}
    cross_list = {"category": text, "name": text, "probability": number}
    word = {"word": text, "weight": number, "places": pa.list_(pa.list_(pa.int64()))}
    why = {"category": text, "margin": number, "base": number,
           "words": pa.list_(pa.struct(word)), "rest": number, "text": text}  # fmt: skip
    types = {
        "line": pa.int64(),
        "confidence": number,
        "confident": pa.bool_(),
        "second_confidence": number,
        "ranking": pa.list_(pa.struct(rank)),
        "cross_lists": pa.list_(pa.struct(cross_list)),
        "why": pa.struct(why),
    }
    return pa.schema([(name, types.get(name, text)) for name in columns])
