"""The papers of a segment: their metadata and texts by row, in a SQLite file.

A segment's file is written once and never changed: it is opened as immutable, so that no reader
takes a lock, and neither a journal nor a log lies beside it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from shelfmark.errors import ShelfmarkError

FILE = "papers.sqlite"
TABLE = """
CREATE TABLE papers (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL, title TEXT NOT NULL, abstract TEXT NOT NULL,
    authors TEXT NOT NULL, categories TEXT NOT NULL, submitted TEXT NOT NULL, updated TEXT,
    version INTEGER NOT NULL, withdrawn INTEGER NOT NULL, title_key INTEGER NOT NULL
)
"""
INDEXES = """
CREATE INDEX by_id ON papers (id);
CREATE INDEX by_title ON papers (title_key);
CREATE INDEX by_withdrawal ON papers (withdrawn) WHERE withdrawn;
"""
# Without a journal: a file that is not whole is never named by a manifest.
QUICK = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
COLUMNS = "id, title, abstract, authors, categories, submitted, updated, version, withdrawn"
PART = 500  # papers that a statement names


class PaperRow(NamedTuple):
    """A paper of an index.

    Attributes:
        id: its identifier at arXiv.
        title: its title, as `clean_text` returns it.
        abstract: its abstract, as `clean_text` returns it.
        authors: their names, with commas between them.
        categories: of the paper with blanks between them, the primary one first.
        submitted: the day of the first version, 2018-04-02.
        updated: the day of the last change, None if unknown.
        version: number of the version, 0 if unknown.
        withdrawn: whether its authors have withdrawn it, or arXiv has deleted it.
    """

    id: str
    title: str
    abstract: str
    authors: str
    categories: str
    submitted: str
    updated: str | None
    version: int
    withdrawn: int


def title_key(title: str) -> int:
    """Return a 63-bit hash of a title, the same for all ways to write its blanks and case."""
    plain = "".join(one for one in title.casefold() if one.isalnum())
    digest = hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def write_papers(path: Path, papers: Iterable[PaperRow]) -> None:
    """Write papers to a new file, their rows counted from 0.

    Raises:
        ShelfmarkError: the disk is full, or the file cannot be written.
    """
    numbered = ((row, *paper, title_key(paper.title)) for row, paper in enumerate(papers))
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(QUICK + TABLE)
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO papers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", numbered
            )
            connection.execute("COMMIT")
            connection.executescript(INDEXES)
    except sqlite3.Error as error:
        raise ShelfmarkError(f"cannot write {path}: {error}") from error


class PaperStore:
    """The papers of a segment's file, read by any thread.

    The file may be removed while it is open, once no index names its segment.

    Args:
        path: of the file.

    Raises:
        ShelfmarkError: as its methods: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # One connection for all threads, in turn: ten papers are read in less than 0.1 ms.
        self._lock = threading.Lock()
        address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
        with self._report_damage():
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        self._execute("SELECT count(*) FROM sqlite_schema")  # which opens the file

    def read(self, rows: Sequence[int]) -> dict[int, PaperRow]:
        """Return the papers of rows."""
        query = f"SELECT row, {COLUMNS} FROM papers WHERE row IN (%s)"  # noqa: S608
        found = self._execute_in_parts(query, [int(row) for row in rows])
        return {row: PaperRow(*values) for row, *values in found}

    def read_all(self) -> Iterator[PaperRow]:
        """Yield all papers in the order of their rows."""
        query = f"SELECT {COLUMNS} FROM papers WHERE row >= ? AND row < ? ORDER BY row"  # noqa: S608
        begin = 0
        while found := self._execute(query, [begin, begin + PART]):
            yield from (PaperRow(*values) for values in found)
            begin += PART

    def find_ids(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the rows of those papers that are here, by their identifiers."""
        return dict(self._execute_in_parts("SELECT id, row FROM papers WHERE id IN (%s)", ids))

    def withdrawn_rows(self) -> list[int]:
        """Return the rows of the papers that are withdrawn."""
        return [row for (row,) in self._execute("SELECT row FROM papers WHERE withdrawn")]

    def find_title(self, title: str) -> list[int]:
        """Return the rows of the papers with a title, however its blanks and case are written."""
        query = "SELECT row FROM papers WHERE title_key = ? ORDER BY row LIMIT 10"
        return [row for (row,) in self._execute(query, [title_key(title)])]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _execute_in_parts(self, query: str, values: Sequence[object]) -> list[Any]:
        """Return the rows of a query whose `%s` stands for a list of values."""
        found: list[Any] = []
        for begin in range(0, len(values), PART):
            part = values[begin : begin + PART]
            found += self._execute(query % ",".join("?" * len(part)), part)
        return found

    def _execute(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock, self._report_damage():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _report_damage(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            line = f"{self._path}: missing or damaged ({error}); build the index again"
            raise ShelfmarkError(line) from error
