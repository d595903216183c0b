"""Cleaned rows on disk between the two passes of the preparation.

Each process appends to a file of its own, so that no texts go through the process that starts it.
Of the rows, all columns are kept but those that are made of others again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

PATTERN = "spill-*.arrow"
OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Place(NamedTuple):
    """Where rows lie: a file of the folder, and the first byte in it."""

    file: str
    start: int


def write_rows(folder: Path, rows: pa.RecordBatch) -> Place:
    """Append rows to this process's file in a folder, and return where they lie.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=OPTIONS) as stream:
        stream.write_batch(rows)
    path = folder / PATTERN.replace("*", str(os.getpid()))
    with path.open("ab") as file:
        start = file.tell()
        file.write(sink.getvalue())
    return Place(path.name, start)


class SpillReader:
    """Reads rows where they lie.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> SpillReader:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def read(self, place: Place) -> pa.RecordBatch:
        """Return the rows that lie at a place.

        Raises:
            OSError: the file is missing or cannot be read.
        """
        if place.file not in self._files:
            # Not mapped: every page of a mapped file counts as memory of this process.
            opened = self._stack.enter_context((self._folder / place.file).open("rb"))
            self._files[place.file] = opened
        file = self._files[place.file]
        file.seek(place.start)
        with pa.ipc.open_stream(file) as stream:
            return stream.read_next_batch()


def remove_files(folder: Path) -> None:
    """Remove the files of all processes."""
    for path in folder.glob(PATTERN):
        path.unlink()


def join_columns(titles: pa.Array, abstracts: pa.Array) -> pa.Array:
    """Return the texts of papers, as `arxiv.text.join_texts` makes them with formulas kept.

    Args:
        titles: shape (papers,).
        abstracts: shape (papers,).

    Returns:
        Shape (papers,).
    """
    one_is_empty = pc.or_(pc.equal(titles, ""), pc.equal(abstracts, ""))
    lines = pc.if_else(one_is_empty, "", "\n")
    return pc.binary_join_element_wise(titles, abstracts, lines)
