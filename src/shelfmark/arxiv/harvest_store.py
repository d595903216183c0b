"""The files of a harvest: the database of an unfinished one, the papers, and the days of the last.

A page of records and the harvest's state after it are written in one transaction, so a kill at any
moment leaves both or neither.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from shelfmark.arxiv.identifiers import parse_identifier
from shelfmark.arxiv.oai_xml import Record
from shelfmark.arxiv.papers import BadRecordError
from shelfmark.core import files
from shelfmark.core.formats.records import open_lines
from shelfmark.core.output import targets
from shelfmark.errors import ShelfmarkError

JSON_LINES = (".jsonl", ".ndjson", ".json")
STREAMS = Path("harvest")  # folder of the databases of harvests into streams
TABLES = """
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), said BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS papers (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, datestamp TEXT NOT NULL, line BLOB
);
"""
# The newest record of a paper counts; the order is that of the first arrivals.
UPSERT = """
INSERT INTO papers (id, datestamp, line) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET datestamp = excluded.datestamp, line = excluded.line
WHERE excluded.datestamp >= datestamp
"""
# Names of the fields of `SetProgress` in harvests that began with earlier versions.
EARLIER_KEYS = {"spec": "set_spec", "dies": "expires_at", "reached": "last_datestamp"}

# The fields of `HarvestState` that those lack.
NOTES = ("left_out", "to_request", "mended", "nameless")


@dataclass
class SetProgress:
    """How far the list of one set has been read.

    Args:
        set_spec: the set as the protocol names it, "" for all papers.
        since: the first day of the changes that the user wants, `2026-11-01`.
        start: the first day of the list being read; later than `since` after a token expired.
        token: the resumption token of the next page, None to request from `start`.
        expires_at: when the token expires, in seconds since 1970, None if unknown.
        last_datestamp: the latest datestamp received.
        ordered: whether all datestamps so far were in order.
        began: the repository's day at the first request.
        done: whether the end of the list was reached.
    """

    set_spec: str
    since: str
    start: str
    token: str | None = None
    expires_at: float | None = None
    last_datestamp: str = ""
    ordered: bool = True
    began: str = ""
    done: bool = False


@dataclass
class HarvestState:
    """The repository of a harvest, the progress of each set, and the records that were faulty.

    Args:
        url: the repository.
        sets: the progress of each set.
        left_out: the reason for each paper whose record was left out, in this harvest or, unless it
            has arrived since, in an earlier one.
        to_request: those of earlier harvests that have not been requested again yet.
        mended: the papers whose record was mended.
        nameless: number of records that were left out and have no identifier.
    """

    url: str
    sets: list[SetProgress]
    left_out: dict[str, str] = field(default_factory=dict)
    to_request: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    nameless: int = 0

    def add_left_out(self, ident: str | None, reason: str) -> None:
        """Note a record that was left out, so that it is requested again."""
        if ident is None:
            self.nameless += 1
            return
        self.left_out[ident] = reason
        self.forget_request(ident)

    def add_received(self, ident: str) -> None:
        """Note that the record of a paper has arrived."""
        if ident in self.left_out:
            del self.left_out[ident]
            self.forget_request(ident)

    def forget_request(self, ident: str) -> None:
        """Request a paper no more in this harvest."""
        if ident in self.to_request:
            self.to_request.remove(ident)

    def as_json(self) -> bytes:
        """Return the state as JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, content: bytes) -> HarvestState:
        """Return the state in some JSON, also of harvests that began with earlier versions.

        Raises:
            ValueError, KeyError, TypeError: it holds something else.
        """
        values: dict[str, Any] = orjson.loads(content)
        return cls(
            values["url"],
            [
                SetProgress(**{EARLIER_KEYS.get(key, key): value for key, value in one.items()})
                for one in values.get("sets") or values["walks"]
            ],
            **{name: values[name] for name in NOTES if name in values},
        )


class HarvestStore:
    """The database of an unfinished harvest."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def state(self) -> HarvestState | None:
        """Return the state of the harvest, None if it has not started."""
        row = self._connection.execute("SELECT said FROM place").fetchone()
        if row is None:
            return None
        try:
            return HarvestState.from_json(row[0])
        except (ValueError, KeyError, TypeError) as error:
            raise sqlite3.DatabaseError(f"its state cannot be read: {error}") from error

    def save(self, state: HarvestState, records: list[Record]) -> int:
        """Write records and the state after them, all or none; return how many ids were new."""
        rows = [(one.id, one.datestamp, _line(one)) for one in records]
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            before = self._highest()
            cursor.executemany(UPSERT, rows)
            cursor.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (state.as_json(),))
            new = self._highest() - before
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                cursor.execute("ROLLBACK")
            raise
        return new

    def count(self) -> int:
        """Return the number of papers, without the deleted ones."""
        return int(self._connection.execute("SELECT count(line) FROM papers").fetchone()[0])

    def deleted_ids(self) -> list[str]:
        """Return the identifiers of the papers that arXiv has deleted."""
        rows = self._connection.execute("SELECT id FROM papers WHERE line IS NULL ORDER BY number")
        return [ident for (ident,) in rows]

    def _highest(self) -> int:
        return int(
            self._connection.execute("SELECT ifnull(max(number), 0) FROM papers").fetchone()[0]
        )

    def find(self, ident: str) -> tuple[str, bytes | None] | None:
        """Return the datestamp and the line of a paper, None if it is unknown.

        The line of a deleted paper is None.
        """
        row = self._connection.execute(
            "SELECT datestamp, line FROM papers WHERE id = ?", (ident,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield the identifiers and lines of all papers, in the order of their first arrival."""
        yield from self._connection.execute(
            "SELECT id, line FROM papers WHERE line IS NOT NULL ORDER BY number"
        )


def _line(record: Record) -> bytes | None:
    return None if record.fields is None else orjson.dumps(record.fields) + b"\n"


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[HarvestStore]:
    """Open the database of an unfinished harvest, or create it; removed if nothing was saved.

    Raises:
        ShelfmarkError: another process has it open, the disk is full, or it is damaged.
    """
    started, new = True, not path.parent.exists()
    with files.report_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.executescript(TABLES)
            store = HarvestStore(connection)
            try:
                yield store
            finally:
                started = store.state() is not None
    except sqlite3.OperationalError as error:  # locked, or a full disk
        raise ShelfmarkError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ShelfmarkError(f"{path}: damaged ({error}); remove it to start again") from error
    finally:
        if not started:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                if new:
                    path.parent.rmdir()


@dataclass
class ChangeCounts:
    """How many papers a harvest added to a file, changed in it and deleted from it."""

    new: int = 0
    changed: int = 0
    deleted: int = 0


def check_output(out: Path) -> None:
    """Check that a file can be updated, before hours of requests.

    Raises:
        ShelfmarkError: it is a folder, of another format, holds something other than papers, or
            cannot be written.
    """
    if out.suffix.lower() not in ("", *JSON_LINES):
        raise ShelfmarkError(
            f"--out: {out} must be JSON lines, not {out.suffix}: name it {JSON_LINES[0]}"
        )
    if out.is_dir():
        raise ShelfmarkError(f"--out: {out} is a folder, a file is needed")
    with files.report_write_errors(out):
        if targets.is_stream(out):
            return
        targets.require_replaceable(targets.follow_links(out))
    if out.exists() and out.stat().st_size:
        with open_lines(files.require_file(out, "--out")) as lines:
            if _id_of(_record(next(lines, b""))) is None:
                raise ShelfmarkError(f"--out: {out} exists and holds no papers; choose another")


def state_path(out: Path) -> Path:
    """Return the path of the database of an unfinished harvest.

    It is beside the file. A device, a pipe or /dev/stdout has none beside it: that is in the
    folder of the harvests.
    """
    name = f"{out.name}.partial"
    return STREAMS / name if targets.is_stream(out) else out.with_name(name)


def remove_state(path: Path) -> None:
    """Remove the database of a finished harvest, and the folder of those into streams if empty."""
    path.unlink()
    if path.parent == STREAMS:
        with contextlib.suppress(OSError):
            STREAMS.rmdir()


def merge_into_file(out: Path, store: HarvestStore) -> ChangeCounts:
    """Update the file: its papers, replaced or removed where they changed, then the new ones.

    Raises:
        ShelfmarkError: it cannot be written; the old file is then unchanged.
    """
    seen: set[str] = set()
    counts = ChangeCounts()
    with files.atomic_write(out) as target:
        for line in _lines(out):
            record = _record(line)
            ident = _id_of(record)
            stored = store.find(ident) if ident else None
            # A newer record, such as that of a later snapshot, is kept.
            if ident is None or stored is None or stored[0] < str(record.get("update_date") or ""):
                target.write(line)
            elif stored[1] is None:
                counts.deleted += 1
            elif ident not in seen:
                counts.changed += stored[1] != line
                target.write(stored[1])
            if ident and stored:
                seen.add(ident)
        for ident, line in store.lines():
            if ident not in seen:
                counts.new += 1
                target.write(line)
    return counts


def _lines(out: Path) -> Iterator[bytes]:
    if out.exists() and not targets.is_stream(out):
        with open_lines(out) as lines:
            for line in lines:
                yield line.rstrip(b"\n") + b"\n"


def _record(line: bytes) -> dict[str, Any]:
    """Return the record of a line, an empty one if the line is not a record."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _id_of(record: dict[str, Any]) -> str | None:
    """Return the identifier of a record in its canonical form, None if it has none."""
    ident = record.get("id")
    if not isinstance(ident, str):
        return None
    try:
        return parse_identifier(ident)
    except BadRecordError:
        return ident


def _days_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.harvest.json")


def last_harvest_days(out: Path) -> dict[str, date]:
    """Return the day of the last harvest of each set of a file: later changes may be missing.

    Raises:
        ShelfmarkError: the file that holds the days is damaged.
    """
    with _reading_notes(out) as notes:
        sets = notes["sets"]
        return {str(set_spec): date.fromisoformat(day) for set_spec, day in sets.items()}


def left_out_before(out: Path) -> dict[str, str]:
    """Return the papers whose records earlier harvests of a file left out, each with the reason.

    Raises:
        ShelfmarkError: the file that holds them is damaged.
    """
    with _reading_notes(out) as notes:
        left_out = notes.get("left_out", {})
        return {str(ident): str(reason) for ident, reason in left_out.items()}


@contextlib.contextmanager
def _reading_notes(out: Path) -> Iterator[dict[str, Any]]:
    """Give what the last harvest of a file noted beside it; no sets if there was none."""
    path = _days_file(out)
    try:
        known = out.exists() and path.exists()
        yield orjson.loads(files.read_bytes(path)) if known else {"sets": {}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShelfmarkError(f"{path}: damaged ({error}); remove it and give --since") from error


def deleted_papers(out: Path) -> list[str]:
    """Return the papers that arXiv has deleted, as the harvests of a file were told.

    Raises:
        ShelfmarkError: the file that holds them is damaged.
    """
    with _reading_notes(out) as notes:
        return [str(ident) for ident in notes.get("deleted", [])]


def save_harvest_notes(out: Path, state: HarvestState, store: HarvestStore) -> None:
    """Save the day of the first request for each set of a finished harvest, and what it lacks.

    A stream is not updated by a later harvest, and has none.
    """
    if targets.is_stream(out):
        return
    days = {set_spec: day.isoformat() for set_spec, day in last_harvest_days(out).items()}
    days |= {one.set_spec: one.began for one in state.sets}
    deleted = {name for name in deleted_papers(out) if store.find(name) is None}
    deleted |= set(store.deleted_ids())
    with files.atomic_write(_days_file(out)) as file:
        style = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        notes: dict[str, Any] = {"url": state.url, "sets": days}
        if state.left_out:
            notes["left_out"] = state.left_out
        if deleted:
            notes["deleted"] = sorted(deleted)
        file.write(orjson.dumps(notes, option=style))
