"""What an unfinished harvest has brought so far: records and the place it is at, in one database.

A page and the place after it are written in one transaction, so a kill at any moment leaves both
or neither.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from shelfmark.arxiv.oai_xml import Record
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError

TABLES = """
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), said BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS papers (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, datestamp TEXT NOT NULL, line BLOB
);
"""
# The newest says what a paper is; the order is that of the first coming.
KEEP = """
INSERT INTO papers (id, datestamp, line) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET datestamp = excluded.datestamp, line = excluded.line
WHERE excluded.datestamp >= datestamp
"""


@dataclass
class Walk:
    """How far the list of one set has been read.

    Args:
        spec: the set as the protocol names it, "" for all papers.
        since: the day from which on the user wants changes, `2026-11-01`.
        start: the day the list now being read was asked from; later than `since` after a token
            died.
        token: what the next page is asked with, None to ask from `start`.
        dies: when the token dies, in seconds since 1970, None where that is not known.
        reached: the last datestamp that came.
        ordered: whether datestamps have come in order so far.
        began: the repository's day when it was first asked.
        done: whether the end was reached.
    """

    spec: str
    since: str
    start: str
    token: str | None = None
    dies: float | None = None
    reached: str = ""
    ordered: bool = True
    began: str = ""
    done: bool = False


@dataclass
class Place:
    """What is harvested from where, and how far it has come."""

    url: str
    walks: list[Walk]


class Store:
    """An unfinished harvest in a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def place(self) -> Place | None:
        """Return where the harvest is, None if it has not begun."""
        row = self._connection.execute("SELECT said FROM place").fetchone()
        if row is None:
            return None
        try:
            said: dict[str, Any] = orjson.loads(row[0])
            return Place(said["url"], [Walk(**walk) for walk in said["walks"]])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:  # of another version
            raise sqlite3.DatabaseError(f"no place in it: {error}") from error

    def keep(self, place: Place, records: list[Record]) -> int:
        """Write records and the place after them, all or none; return how many ids were new."""
        rows = [(one.id, one.datestamp, _line(one)) for one in records]
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            before = self._highest()
            cursor.executemany(KEEP, rows)
            said = orjson.dumps(asdict(place))
            cursor.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (said,))
            new = self._highest() - before
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                cursor.execute("ROLLBACK")
            raise
        return new

    def count(self) -> int:
        """Return how many papers there are, those deleted not counted."""
        return int(self._connection.execute("SELECT count(line) FROM papers").fetchone()[0])

    def _highest(self) -> int:
        return int(
            self._connection.execute("SELECT ifnull(max(number), 0) FROM papers").fetchone()[0]
        )

    def find(self, ident: str) -> tuple[str, bytes | None] | None:
        """Return a record's datestamp and its line, None for one deleted; None for no record."""
        found = self._connection.execute(
            "SELECT datestamp, line FROM papers WHERE id = ?", (ident,)
        ).fetchone()
        return (found[0], found[1]) if found else None

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield the identifiers and lines of all papers, in the order of their first coming."""
        yield from self._connection.execute(
            "SELECT id, line FROM papers WHERE line IS NOT NULL ORDER BY number"
        )


def _line(record: Record) -> bytes | None:
    return None if record.fields is None else orjson.dumps(record.fields) + b"\n"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Open an unfinished harvest, or begin one; nothing stays of one that has not begun.

    Raises:
        ShelfmarkError: another process has it open, the disk is full, or it is damaged.
    """
    begun, new = True, not path.parent.exists()
    with files.report_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as found:
            found.execute("PRAGMA locking_mode = EXCLUSIVE")
            found.executescript(TABLES)
            store = Store(found)
            try:
                yield store
            finally:
                begun = store.place() is not None
    except sqlite3.OperationalError as error:  # locked, or a full disk
        raise ShelfmarkError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ShelfmarkError(f"{path}: damaged ({error}); remove it to begin anew") from error
    finally:
        if not begun:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                if new:
                    path.parent.rmdir()
