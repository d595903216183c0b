"""Writes vectors of papers as .npy or Parquet, a batch at a time, so that memory stays flat."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from shelfmark.core import files, npy
from shelfmark.core.arrays import Floats
from shelfmark.core.output import targets
from shelfmark.core.output.sinks import Sink, open_output, open_parquet, require_local_file
from shelfmark.errors import ShelfmarkError, one_line

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = ".parquet"
WRITABLE = f"{npy.SUFFIX} or {PARQUET}"
# Keys of the metadata of a Parquet file: which encoder made the vectors.
ENCODER, DIGEST = "shelfmark.encoder", "shelfmark.digest"


class Row(NamedTuple):
    """A record beside its vector: its place, its identifier, and its error if it holds no paper."""

    line: int
    id: str | None
    error: str | None


class VectorBatch(NamedTuple):
    """Vectors, shape (records, size), and a line of the file of identifiers for each."""

    vectors: Floats
    ids: bytes


@dataclass(frozen=True)
class VectorFormat:
    """How vectors are written.

    Args:
        kind: the suffix of the format.
        size: the numbers of a vector.
        encoder: the name of the encoder.
        digest: that of its card.
        several: whether rows have the column `file`, as the papers come from several.
        ids: path of the file of identifiers beside a .npy file, "" for none.
    """

    kind: str
    size: int
    encoder: str = ""
    digest: str = ""
    several: bool = False
    ids: str = ""

    def encode(self, file: str, rows: Sequence[Row], vectors: Floats) -> Any:
        """Return the rows of one batch as the sink takes them; another process may do it.

        Args:
            file: of the batch, where there are several.
            rows: of all records of the batch.
            vectors: of its records, zero where there is no paper; shape (records, size), float32.
        """
        if self.kind == PARQUET:
            return self._record_batch(file, rows, vectors)
        lines = (f"{one_line(row.id or '')}\n" for row in rows) if self.ids else ()
        return VectorBatch(vectors, "".join(lines).encode("utf-8", "replace"))

    @contextlib.contextmanager
    def open(self, out: str) -> Iterator[Sink]:
        """Open an output, which appears whole after the block.

        Raises:
            ShelfmarkError: it cannot be written.
        """
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open_output(out))
            if self.kind == PARQUET:
                yield stack.enter_context(
                    open_parquet(file, self._schema(), use_dictionary=["id", "error"])
                )
                return
            ids = stack.enter_context(files.atomic_write(Path(self.ids))) if self.ids else None
            rows = npy.RowWriter(file, self.size)
            yield _NpySink(rows, ids)
            rows.finish()

    def _record_batch(self, file: str, rows: Sequence[Row], vectors: Floats) -> pa.RecordBatch:
        import pyarrow as pa

        numbers = pa.array(vectors.reshape(-1))
        missing = pa.array([row.error is not None for row in rows], pa.bool_())
        columns = {
            "file": [file] * len(rows),
            "line": [row.line for row in rows],
            "id": [row.id for row in rows],
            "vector": pa.FixedSizeListArray.from_arrays(numbers, self.size, mask=missing),
            "error": [row.error for row in rows],
        }
        schema = self._schema()
        values = [pa.array(columns[f.name], f.type) if f.name != "vector" else columns["vector"]
                  for f in schema]  # fmt: skip
        return pa.RecordBatch.from_arrays(values, schema=schema)

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        text = pa.string()
        columns = {"file": text} if self.several else {}
        columns |= {
            "line": pa.int64(),
            "id": text,
            "vector": pa.list_(pa.float32(), self.size),
            "error": text,
        }
        return pa.schema(columns, metadata={ENCODER: self.encoder, DIGEST: self.digest})


class _NpySink:
    def __init__(self, rows: npy.RowWriter, ids: Any) -> None:
        self._rows, self._ids = rows, ids

    def write(self, encoded: VectorBatch) -> None:
        self._rows.write(encoded.vectors)
        if self._ids is not None:
            self._ids.write(encoded.ids)


def parse_kind(out: str, ids: str = "") -> str:
    """Return the format that the name of an output asks for.

    Args:
        out: path of the vectors.
        ids: path of the identifiers, "" for none.

    Raises:
        ShelfmarkError: it is no path of a file, or of a format that is not written here; or the
            identifiers cannot be written beside it.
    """
    if out in ("", targets.STANDARD):
        raise ShelfmarkError(f"--out: give a file to write the vectors to, {WRITABLE}")
    require_local_file(out)
    kind = PurePosixPath(out).suffix.lower()
    if kind not in (npy.SUFFIX, PARQUET):
        raise ShelfmarkError(f"--out: {out}: vectors are written as {WRITABLE}, not packed")
    if kind == npy.SUFFIX and targets.is_stream(Path(out)):
        raise ShelfmarkError(f"--out: {out} is no regular file: {npy.SUFFIX} needs one")
    if ids:
        require_local_file(ids, "--ids")
        if kind == PARQUET:
            raise ShelfmarkError(f"--ids: {out} has a column id: leave --ids away")
        if ids == targets.STANDARD or _same_file(ids, out):
            raise ShelfmarkError(f"--ids: {ids}: give a file of its own")
    return kind


def _same_file(one: str, other: str) -> bool:
    return Path(one).resolve() == Path(other).resolve()
