"""Writes predictions as JSON lines, CSV, TSV or Parquet, compressed or not, as the name says."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import orjson

from shelfmark.core.output.cells import escape_formula
from shelfmark.core.output.compression import COMPRESSORS, compress
from shelfmark.core.output.sinks import (
    ByteSink,
    Sink,
    open_output,
    open_parquet,
    require_local_file,
)
from shelfmark.core.output.targets import STANDARD
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    import pyarrow as pa

JSON_LINES = ("", ".jsonl", ".ndjson", ".json")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = ".parquet"
WRITABLE = (
    f"{', '.join(JSON_LINES[1:])} or no suffix (JSON lines), {', '.join(SEPARATORS)}, each also "
    f"with {', '.join(COMPRESSORS)}, and {PARQUET}"
)
# The columns of a table. The nested ones are JSON in CSV and TSV, lists and structs in Parquet.
FLAT = (
    "line", "id", "category", "name", "archive", "group", "confidence", "confident", "verdict",
    "precision", "scope", "reason", "listed_verdict", "sentence", "second_category",
    "second_confidence", "error",
)  # fmt: skip
NESTED = ("ranking", "cross_lists", "why")

Line = dict[str, Any]  # as it is written as JSON: a prediction, or an error in its place


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
        with open_output(out) as file, compress(file, self.compression) as packed:
            if self.kind == PARQUET:
                with open_parquet(packed, _schema(self.columns)) as rows:
                    yield rows
                return
            if self.kind in SEPARATORS:
                packed.write(self._encode_cells([self.columns]))
            # A compressed file is smaller if it is not flushed.
            yield ByteSink(packed, flush=not self.compression)

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
    if out == STANDARD:
        return OutputFormat()
    require_local_file(out)
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


def _row(line: Line) -> Line:
    """Return a line as a row of a table, its nested parts as plain lists and dicts."""
    row: Line = orjson.loads(orjson.dumps(line))
    if len(ranking := row.get("ranking", [])) > 1:
        row["second_category"] = ranking[1]["category"]
        row["second_confidence"] = ranking[1]["probability"]
    row["listed_verdict"] = (row.pop("listed", None) or {}).get("verdict")
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
    cross_list = {"category": text, "name": text, "probability": number, "primary": number}
    word = {"word": text, "weight": number, "places": pa.list_(pa.list_(pa.int64()))}
    why = {"category": text, "margin": number, "base": number,
           "words": pa.list_(pa.struct(word)), "rest": number, "text": text}  # fmt: skip
    types = {
        "line": pa.int64(),
        "confidence": number,
        "confident": pa.bool_(),
        "precision": number,
        "second_confidence": number,
        "ranking": pa.list_(pa.struct(rank)),
        "cross_lists": pa.list_(pa.struct(cross_list)),
        "why": pa.struct(why),
    }
    return pa.schema([(name, types.get(name, text)) for name in columns])
