"""The prediction log: answers of the service in files of JSON lines, without delaying an answer.

A file is `<time>-<process>-<random>.jsonl.open` while a living process writes it, `.jsonl` after.
Lines survive the killing of the process, but those of the last seconds may not survive a power
failure.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson
from loguru import logger

from shelfmark.core import files
from shelfmark.core.files import Location
from shelfmark.errors import ShelfmarkError

CLOSED, OPEN = ".jsonl", ".jsonl.open"
WAITING = 2000  # events: a burst of several large requests
BATCH = 100  # events in one write
QUIET = 60  # seconds between two warnings of lost lines
_END = object()


class PredictionLog:
    """Writes events as JSON lines from a separate thread, one log for each process.

    Events that the disk does not take in time are dropped and counted; no answer waits for them.
    """

    def __init__(
        self,
        folder: Path,
        describe: Callable[[Any], dict[str, Any]],
        max_bytes: int,
        max_seconds: float,
        waiting: int = WAITING,
    ) -> None:
        """Create the folder, close what dead processes left open there, and start the thread.

        Args:
            folder: where the files are.
            describe: returns the line of an event, in the thread; an event it fails on is dropped.
            max_bytes: largest size of a file, unless a single batch is larger.
            max_seconds: largest age of an open file.
            waiting: number of events that may wait for the thread; more are dropped.

        Raises:
            ShelfmarkError: the folder cannot be written.
        """
        with files.report_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            close_leftovers(folder)
        self._describe = describe
        self._waiting = waiting
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._written = self._dropped = 0
        self._quiet_until = 0.0
        self._file = _RotatingFile(folder, max_bytes, max_seconds)
        self._thread = threading.Thread(target=self._run, name="prediction log", daemon=True)
        self._thread.start()

    @property
    def written(self) -> int:
        """Number of lines written."""
        return self._written

    @property
    def dropped(self) -> int:
        """Number of events dropped: too many waited, or their line could not be made or written."""
        return self._dropped

    def append(self, event: Any) -> None:
        """Queue an event to be written; never blocks and never raises."""
        with self._lock:
            if self._closed or self._events.qsize() >= self._waiting:
                self._dropped += 1
            else:
                self._events.put(event)

    def close(self, seconds: float) -> None:
        """Write the waiting events, for at most so long, and close the file; drop later events."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._events.put(_END)
        self._thread.join(seconds)
        if self._thread.is_alive():
            logger.warning("prediction log: closed after {} s with events left", seconds)

    def _run(self) -> None:
        ended = False
        while not ended:
            events = self._batch()
            if events and events[-1] is _END:
                ended = True
                events.pop()
            lines = map(self._line, events)
            self._write([line for line in lines if line is not None])
            if self._file.seconds_left() == 0:
                self._file.close()
        self._file.close()

    def _batch(self) -> list[Any]:
        """Wait for events until the file is too old, and return those that came."""
        events: list[Any] = []
        with contextlib.suppress(queue.Empty):
            events.append(self._events.get(timeout=self._file.seconds_left()))
            # Nothing comes after the end: it stays the last of its batch.
            while len(events) < BATCH:
                events.append(self._events.get_nowait())
        return events

    def _line(self, event: Any) -> bytes | None:
        try:
            return orjson.dumps(self._describe(event), option=orjson.OPT_APPEND_NEWLINE)
        except Exception as error:  # one strange event must not end the log
            self._lose(1, error)
            return None

    def _write(self, lines: list[bytes]) -> None:
        while lines:
            fresh = self._file.size == 0
            try:
                count = self._file.append(lines)
            except OSError as error:
                # Another file may not have the same problem.
                self._file.close()
                if fresh:
                    self._lose(len(lines), error)
                    return
            else:
                self._written += count
                lines = lines[count:]

    def _lose(self, count: int, reason: Exception) -> None:
        with self._lock:
            self._dropped += count
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET
            last = str(reason).partition("\n")[0] or type(reason).__name__
            logger.warning("prediction log: {:,} dropped so far; last: {}", self._dropped, last)


class _RotatingFile:
    """One file after another, each opened by its first line and locked until it is closed."""

    def __init__(self, folder: Path, max_bytes: int, max_seconds: float) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._file: IO[bytes] | None = None
        self._path = folder
        self._opened = 0.0
        self.size = 0  # of the whole lines in the open file

    def seconds_left(self) -> float | None:
        """Return in how many seconds the file is too old; None without a file."""
        if self._file is None:
            return None
        # The clock on the wall may be set back.
        left = self._opened + self._max_seconds - time.monotonic()
        return min(max(left, 0.0), threading.TIMEOUT_MAX)

    def append(self, lines: list[bytes]) -> int:
        """Write lines in one call, and return how many of them were written completely.

        Raises:
            OSError: not even the first.
        """
        data = b"".join(lines)
        descriptor = self._room_for(len(data))
        done = os.write(descriptor, data)
        whole = data.rfind(b"\n", 0, done) + 1
        if whole < done:
            os.ftruncate(descriptor, self.size + whole)
        if not whole:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += whole
        return data.count(b"\n", 0, whole)

    def _room_for(self, count: int) -> int:
        """Return the descriptor of a file with room for so many bytes."""
        if self._file is not None:
            # Lines written to a removed file would be lost.
            gone = os.fstat(self._file.fileno()).st_nlink == 0
            if gone or (self.size and self.size + count > self._max_bytes):
                self.close()
        if self._file is None:
            self._open()
        assert self._file is not None
        return self._file.fileno()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Before its lock is taken, another process may mistake a new file for a leftover.
        for _ in range(10):
            made = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{secrets.token_hex(4)}"
            self._path = self._folder / f"{made}{OPEN}"
            self._file = files.try_lock(self._path)
            if self._file is not None:
                self._opened = time.monotonic()
                return
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def close(self) -> None:
        """Close the file, if any, and give it its final name; remove an empty one."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.close()
        _settle(self._path, empty=self.size == 0)
        self._file, self.size = None, 0


def _settle(path: Path, empty: bool) -> None:
    """Give a complete file its final name."""
    # Another process may have done so just before.
    with contextlib.suppress(OSError):
        if empty:
            path.unlink()
        else:
            path.rename(closed_path(path))


def closed_path(path: Path) -> Path:
    """Return the path of an open file after it is closed."""
    return path.with_name(path.name.removesuffix(OPEN) + CLOSED)


def close_leftovers(folder: Path) -> None:
    """Close the files that processes left open when they ended or were killed."""
    for path in folder.glob(f"*{OPEN}"):
        held = None
        with contextlib.suppress(OSError):  # another user's, or gone with its folder
            held = files.try_lock(path)
        if held is None:
            continue
        with held:
            empty = os.fstat(held.fileno()).st_size == 0
            if empty:  # or created by the lock, just after its writer closed and renamed it
                _settle(path, empty=True)
        if not empty:  # Windows renames no open file
            _settle(path, empty=False)


def read_lines(place: Location) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file, closed or not, without an incomplete last one.

    Other damaged lines are skipped, and their number is logged.

    Raises:
        ShelfmarkError: the file cannot be read.
    """
    damaged = 0
    try:
        with files.open_raw(place) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError:
                    record = None
                if isinstance(record, dict):
                    yield record
                else:
                    damaged += 1
    except OSError as error:
        raise ShelfmarkError(f"cannot read {place}: {error.strerror or error}") from error
    if damaged:
        logger.warning("{}: {:,} damaged lines skipped", place, damaged)
