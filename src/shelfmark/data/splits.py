"""The Parquet splits: their schema, the assignment of papers, and how they are written."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shelfmark.config.schema import DataConfig
from shelfmark.core import files
from shelfmark.core.arrays import Ints
from shelfmark.errors import ShelfmarkError

SPLITS = ("train", "validation", "test")
CARD = "card.json"
# The columns of each split; the model reads `text`.
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("title", pa.string()),
        ("abstract", pa.string()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("categories", pa.list_(pa.string())),
        ("submitted", pa.date32()),
    ]
)
AUTHORS = pa.field("authors", pa.list_(pa.string()))  # with `data.authors`
ROW_GROUP = 16384
# A hash splits labels evenly only on average. With this salt, the first of 1,254 found by counting
# labels alone, each label of 500 papers or more is within a point of its share in every split, on
# the built-in sample and on a snapshot of 130,000 papers.
SALT = b"1254:"


class PaperGroups(Protocol):
    """Papers in groups, of which as many are in memory as are read; worker processes read them too.

    Attributes:
        groups: the number of papers of each group.
    """

    @property
    def groups(self) -> Sequence[int]:
        """The number of papers of each group."""

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """Return all papers, or some of their columns."""

    def read_group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """Return the papers of one group, or some of their columns."""


@dataclass(frozen=True)
class SplitFile:
    """The Parquet file of one split, whose row groups are the groups of its papers.

    Args:
        path: of the file.
        schema: its columns.
    """

    path: Path
    schema: pa.Schema = SCHEMA

    @cached_property
    def groups(self) -> list[int]:
        """The number of papers of each row group.

        Raises:
            ShelfmarkError: the file is missing or damaged.
        """
        with self._report_damage(), files.open_regular(self.path):
            parquet = pq.read_metadata(self.path)
            return [parquet.row_group(i).num_rows for i in range(parquet.num_row_groups)]

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """Return all papers, or some of their columns.

        Raises:
            ShelfmarkError: the file is missing or damaged.
        """
        with self._report_damage(), files.open_regular(self.path):
            return pq.read_table(self.path, columns=columns, schema=self.schema)

    def read_group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """Return the papers of one row group, or some of their columns.

        Raises:
            ShelfmarkError: the file is missing or damaged.
        """
        with (
            self._report_damage(),
            files.open_regular(self.path),
            pq.ParquetFile(self.path) as parquet,
        ):
            return parquet.read_row_group(number, columns=columns)

    @contextlib.contextmanager
    def _report_damage(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            raise ShelfmarkError(
                f"cannot read {self.path}: {error}; remove {self.path.parent} and run shelfmark "
                "data again"
            ) from error


@dataclass(frozen=True)
class TableGroups:
    """A table of papers in memory, in groups.

    Args:
        table: the papers.
    """

    table: pa.Table

    @property
    def groups(self) -> list[int]:
        """The number of papers of each group."""
        papers = self.table.num_rows
        return [min(ROW_GROUP, papers - begin) for begin in range(0, papers, ROW_GROUP)]

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """Return all papers, or some of their columns."""
        return self.table.select(columns) if columns else self.table

    def read_group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """Return the papers of one group, or some of their columns."""
        return self.read(columns).slice(number * ROW_GROUP, ROW_GROUP)


def as_groups(papers: PaperGroups | pa.Table) -> PaperGroups:
    """Return papers in groups, those of a table too."""
    return TableGroups(papers) if isinstance(papers, pa.Table) else papers


def read_rows(papers: PaperGroups, rows: Ints, columns: list[str]) -> pa.Table:
    """Return some columns of the papers in some rows, which rise, read group by group."""
    ends = np.cumsum(papers.groups)
    tables: list[pa.Table] = []
    for number, size in enumerate(papers.groups):
        begin = ends[number] - size
        own = rows[(rows >= begin) & (rows < ends[number])] - begin
        if len(own) or not tables:
            tables.append(papers.read_group(number, columns).take(own))
    return pa.concat_tables(tables) if tables else papers.read(columns)


@dataclass(frozen=True)
class Splits:
    """A folder of Parquet splits and its data card."""

    folder: Path
    card: dict[str, Any]

    def read(self, split: str, columns: list[str] | None = None) -> pa.Table:
        """Return one split as a table of its schema, or some of its columns.

        Raises:
            ShelfmarkError: the split is unknown, or its file is missing or damaged.
        """
        return self.file(split).read(columns)

    def file(self, split: str) -> SplitFile:
        """Return the file of one split.

        Raises:
            ShelfmarkError: the split is unknown.
        """
        if split not in SPLITS:
            raise ShelfmarkError(f"no split {split!r}; there are {', '.join(SPLITS)}")
        return SplitFile(self.folder / f"{split}.parquet", self.schema)

    def outside(self, split: str) -> PaperGroups:
        """Return the sample of papers beside a split that have none of the labels, maybe empty.

        Raises:
            ShelfmarkError: the split is unknown.
        """
        file = SplitFile(self.file(split).path.with_name(outside_name(split)), self.schema)
        known = "outside" in self.card
        return file if known else TableGroups(self.schema.empty_table())

    @property
    def schema(self) -> pa.Schema:
        """The columns of each split."""
        return schema_of(authors=bool(self.card.get("config", {}).get("authors")))

    @property
    def digest(self) -> str:
        """SHA-256 of the card, which holds the digests of the files."""
        return files.sha256(self.folder / CARD)


def outside_name(split: str) -> str:
    """Return the name of the file with the papers of other labels beside a split."""
    return f"outside-{split}.parquet"


def schema_of(authors: bool) -> pa.Schema:
    """Return the columns of splits with or without the authors' names."""
    return SCHEMA.append(AUTHORS) if authors else SCHEMA


def open_splits(folder: Path) -> Splits:
    """Open the splits of a folder.

    Raises:
        ShelfmarkError: the folder holds no splits, or its card is damaged or unreadable.
    """
    try:
        return Splits(folder, orjson.loads(files.read_bytes(folder / CARD)))
    except orjson.JSONDecodeError as error:
        raise ShelfmarkError(
            f"{folder / CARD} is damaged: remove {folder} and run shelfmark data again"
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ShelfmarkError(f"no splits in {folder}: make them with shelfmark data") from error
    except OSError as error:
        raise ShelfmarkError(f"{folder / CARD} cannot be read: {error.strerror}") from error


def open_recorded_splits(folder: Path, digest: str, name: str) -> Splits:
    """Open the splits that a model or an encoder was trained on.

    Args:
        folder: of the splits.
        digest: the SHA-256 of their card that was recorded.
        name: of what was trained on them.

    Raises:
        ShelfmarkError: as `open_splits`, or the folder holds other splits now.
    """
    splits = open_splits(folder)
    if splits.digest != digest:
        raise ShelfmarkError(f"{folder} is not the data {name} was trained on")
    return splits


def check_splits(folder: Path, identity: dict[str, Any]) -> None:
    """Check that a folder holds complete splits with an identity.

    Args:
        folder: the splits.
        identity: the recipe, source and configuration that their card must name.

    Raises:
        ShelfmarkError: a file is missing or damaged, or the identity differs.
    """
    card = open_splits(folder).card
    if {name: card.get(name) for name in identity} != orjson.loads(orjson.dumps(identity)):
        raise ShelfmarkError("these splits have another source or configuration")
    for name, digest in card["files"].items():
        if not (folder / name).is_file() or files.sha256(folder / name) != digest:
            raise ShelfmarkError(f"{name} is missing or not the file its card names")


def assign_split(data: DataConfig, ident: str, submitted: date) -> str:
    """Return the split of a paper, by its identifier's hash or by its day of submission.

    The hash depends only on the identifier: papers added later move no other paper.
    """
    if data.split == "time":
        assert data.cuts.validation is not None
        assert data.cuts.test is not None
        if submitted < data.cuts.validation:
            return "train"
        return "validation" if submitted < data.cuts.test else "test"
    share = int.from_bytes(hashlib.sha256(SALT + ident.encode()).digest()[:8], "big") / 2**64
    if share < data.fractions.train:
        return "train"
    return "validation" if share < data.fractions.train + data.fractions.validation else "test"


class SplitWriter:
    """Writes one split in row groups of a fixed size, so that its bytes are reproducible.

    A thread compresses, which is most of the work, while the next rows are prepared.
    """

    def __init__(self, path: Path, schema: pa.Schema = SCHEMA) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1)
        self._waiting: list[pa.Table] = []
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *failure: object) -> None:
        try:
            if failure[0] is None:
                self._flush()
                self._wait()
        finally:
            self._thread.shutdown()
            self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Add rows of the schema, written once they fill a row group."""
        self._waiting.append(table)
        if sum(part.num_rows for part in self._waiting) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        # One row group at a time: memory stays flat, and a full disk is reported.
        self._wait()
        table = pa.concat_tables([self._schema.empty_table(), *self._waiting]).combine_chunks()
        self._waiting = []
        if table.num_rows:
            self._writing = self._thread.submit(self._writer.write_table, table, table.num_rows)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
