"""The prediction log: complete lines, losses counted, and no answer delayed."""

from __future__ import annotations

import datetime as dates
import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.monitoring import prediction_log
from shelfmark.monitoring.prediction_log import PredictionLog, close_leftovers, read_lines
from tests.support.moments import FOREVER, PATIENCE, until

POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX alone has such limits and signals")
NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\d+-[0-9a-f]{8}\.jsonl")

Make = Callable[..., PredictionLog]


def describe(event: int) -> dict[str, Any]:
    return {"number": event, "text": "x" * 50}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes logs in the test's folder, closed at its end."""
    made = []

    def one(max_bytes: int = 1 << 20, max_seconds: float = 3600, **rest: Any) -> PredictionLog:
        rest = {"describe": describe, **rest}
        made.append(PredictionLog(tmp_path, max_bytes=max_bytes, max_seconds=max_seconds, **rest))
        return made[-1]

    yield one
    for log in made:
        log.close(PATIENCE)


def numbers(folder: Path, pattern: str = "*.jsonl") -> list[int]:
    return [line["number"] for path in sorted(folder.glob(pattern)) for line in read_lines(path)]


def test_every_event_is_a_line_in_the_order_of_the_events(make: Make, tmp_path: Path) -> None:
    log = make()
    for number in range(1500):
        log.append(number)
    log.close(PATIENCE)
    assert (log.written, log.dropped) == (1500, 0)
    (path,) = tmp_path.iterdir()
    assert NAME.fullmatch(path.name)
    assert numbers(tmp_path) == list(range(1500))


def test_a_file_is_open_by_name_while_it_is_written(make: Make, tmp_path: Path) -> None:
    log = make()
    assert list(tmp_path.iterdir()) == []
    log.append(1)
    until(lambda: log.written)
    (path,) = tmp_path.iterdir()
    assert NAME.fullmatch(path.name.removesuffix(".open"))
    assert list(read_lines(path)) == [describe(1)]
    close_leftovers(tmp_path)  # as another worker does that starts
    assert list(tmp_path.iterdir()) == [path]
    log.close(PATIENCE)
    assert list(tmp_path.iterdir()) == [prediction_log.closed_path(path)]


def test_a_full_file_gives_way_to_the_next(make: Make, tmp_path: Path) -> None:
    log = make(max_bytes=1000, waiting=10_000)
    for number in range(600):
        log.append(number)
        if number % 10 == 0:
            until(lambda number=number: log.written > number)
    log.close(PATIENCE)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert max(sizes) <= 1000
    assert numbers(tmp_path) == list(range(600))


def test_an_old_file_is_closed_though_nothing_comes(make: Make, tmp_path: Path) -> None:
    log = make(max_seconds=0.1)
    log.append(1)
    until(lambda: numbers(tmp_path) == [1])
    log.append(2)
    until(lambda: numbers(tmp_path) == [1, 2])
    assert len(list(tmp_path.iterdir())) == 2


def test_a_clock_set_back_loses_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Backwards(dates.datetime):
        left = 1_700_000_000

        @classmethod
        def now(cls, tz: dates.tzinfo | None = None) -> Backwards:
            cls.left -= 86_400
            return cls.fromtimestamp(cls.left, tz)

    monkeypatch.setattr(prediction_log, "datetime", Backwards)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    log = make(max_bytes=100, max_seconds=0.2)
    for number in range(50):
        log.append(number)
        until(lambda number=number: log.written > number)
    until(lambda: not list(tmp_path.glob("*.open")))
    assert sorted(numbers(tmp_path)) == list(range(50))


def test_an_answer_without_a_line_is_counted_and_the_rest_is_written(
    make: Make, tmp_path: Path, log: Callable[[], str]
) -> None:
    def strange(event: int) -> dict[str, Any]:
        if event == 1:
            raise KeyError("no such thing")
        return {"number": event, "odd": object() if event == 2 else None}

    mine = make(describe=strange)
    for number in range(4):
        mine.append(number)
    mine.close(PATIENCE)
    assert (mine.written, mine.dropped) == (2, 2)
    assert numbers(tmp_path) == [0, 3]
    assert log().count("WARNING prediction log: 1 dropped so far; last: 'no such thing'") == 1
    assert log().count("WARNING") == 1  # a log of a million such events is not filled by them


def test_a_slow_disk_keeps_nobody_waiting(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Callable[[], str]
) -> None:
    moves = threading.Event()
    write = os.write

    def stuck(descriptor: int, data: bytes) -> int:
        moves.wait(FOREVER)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", stuck)
    mine = make(waiting=10)
    mine.append(0)
    until(lambda: mine._events.qsize() == 0)  # the thread has it, and is stuck

    def keep_and_close() -> None:
        for number in range(1, 100_001):
            mine.append(number)
        mine.close(0.1)

    answering = threading.Thread(target=keep_and_close, daemon=True)
    answering.start()
    answering.join(PATIENCE)
    assert not answering.is_alive()  # though the disk is stuck still
    assert (mine.written, mine.dropped) == (0, 99_990)
    assert "closed after 0.1 s with events left" in log()
    moves.set()
    mine.close(PATIENCE)
    assert (mine.written, mine.dropped) == (11, 99_990)
    assert numbers(tmp_path) == list(range(11))


def test_what_comes_after_the_end_is_dropped(make: Make) -> None:
    log = make()
    log.close(PATIENCE)
    log.close(PATIENCE)
    log.append(1)
    assert (log.written, log.dropped) == (0, 1)


def test_many_threads_lose_nothing_and_are_counted_right(make: Make, tmp_path: Path) -> None:
    log = make(max_bytes=10_000, waiting=500)
    threads = [
        threading.Thread(target=lambda: [log.append(number) for number in range(2000)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close(PATIENCE)
    assert log.written + log.dropped == 16_000
    assert len(numbers(tmp_path)) == log.written > 0


# In a real filesystem: from here on there is room for so many bytes in each file, and no more.
FULL = """
import resource, sys, time
from pathlib import Path
from shelfmark.monitoring.prediction_log import PredictionLog

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def settled(count):
    while log.written + log.dropped < count:
        time.sleep(0.01)
    print(log.written, log.dropped, flush=True)

log = PredictionLog(Path(sys.argv[1]), lambda n: {"number": n, "text": "x" * 50}, 1 << 20, 3600)
for begin, size in ((0, resource.RLIM_INFINITY), (100, int(sys.argv[2])), (200, 1 << 20)):
    room(size)
    for number in range(begin, begin + 100):
        log.append(number)
    settled(begin + 100)
log.close(600)
"""


@POSIX
def test_no_room_drops_lines_and_writing_goes_on_when_there_is_some(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path), "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["100 0", "100 100", "200 100"]
    assert "File too large" in done.stderr or "No space left" in done.stderr
    assert numbers(tmp_path) == [*range(100), *range(200, 300)]
    assert len(list(tmp_path.iterdir())) == 2


@POSIX
def test_a_file_that_may_grow_no_more_loses_no_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path), "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "100 0"
    kept = numbers(tmp_path)
    assert kept == sorted(kept)
    written, dropped = map(int, done.stdout.splitlines()[-1].split())
    assert (len(kept), written + dropped) == (written, 300)
    for path in tmp_path.iterdir():
        assert path.read_bytes().endswith(b"\n")


def test_a_disk_that_fills_up_half_way_through_a_write_tears_no_line(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 230  # three lines of 70 bytes, and a bit
    write, full = os.write, threading.Event()

    def short(descriptor: int, data: bytes) -> int:
        nonlocal room
        if full.is_set() and room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(descriptor, data[: room if full.is_set() else None])
        room -= done if full.is_set() else 0
        return done

    monkeypatch.setattr(os, "write", short)
    begin = threading.Event()
    log = make(describe=lambda n: begin.wait(FOREVER) and {"number": n, "text": "x" * 45})
    full.set()
    for number in range(10):
        log.append(number)
    begin.set()
    until(lambda: log.written + log.dropped == 10)
    assert log.written == 3
    full.clear()
    log.append(10)
    log.close(PATIENCE)
    assert (log.written, log.dropped) == (4, 7)
    assert b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir())).count(b"\n") == 4
    assert numbers(tmp_path) == [0, 1, 2, 10]


@POSIX
def test_a_folder_that_is_taken_away_is_made_again(make: Make, tmp_path: Path) -> None:
    log = make()
    log.append(0)
    until(lambda: log.written == 1)
    for path in tmp_path.iterdir():
        path.unlink()
    tmp_path.rmdir()
    log.append(1)
    log.close(PATIENCE)
    assert (log.written, log.dropped) == (2, 0)
    assert numbers(tmp_path) == [1]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ShelfmarkError, match="cannot write .*file"):
        PredictionLog(tmp_path / "file", describe, 1000, 1)


WORKER = """
import sys, time
from pathlib import Path
from shelfmark.monitoring.prediction_log import PredictionLog

first, count = int(sys.argv[2]), int(sys.argv[3])
size = int(sys.argv[4])
log = PredictionLog(Path(sys.argv[1]), lambda n: {"number": n, "text": "x" * 50}, size, 3600)
for number in range(first, first + count):
    log.append(number)
    while log.written + 500 < number - first:
        time.sleep(0.001)
log.close(600)
print(log.written, log.dropped)
"""


def worker(folder: Path, first: int, count: int, size: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), str(first), str(count), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_workers_write_into_one_folder(tmp_path: Path) -> None:
    workers = [worker(tmp_path, first, 5000, 20_000) for first in (0, 5000)]
    assert [one.communicate()[0].split() for one in workers] == [["5000", "0"]] * 2
    assert sorted(numbers(tmp_path)) == list(range(10_000))
    assert all(NAME.fullmatch(path.name) for path in tmp_path.iterdir())


@POSIX
def test_a_killed_process_leaves_whole_lines_and_its_file_is_closed_by_the_next(
    make: Make, tmp_path: Path
) -> None:
    with worker(tmp_path, 0, 10**9, 10**9) as run:
        until(lambda: sum(path.stat().st_size for path in tmp_path.iterdir()) > 100_000)
        run.kill()
    assert run.returncode == -signal.SIGKILL
    (left,) = tmp_path.glob("*.open")
    log = make()
    assert list(tmp_path.iterdir()) == [prediction_log.closed_path(left)]
    log.append(-1)
    log.close(PATIENCE)
    *kept, last = numbers(tmp_path)
    assert kept == list(range(len(kept)))
    assert len(kept) > 1000
    assert last == -1


@POSIX
def test_a_kill_at_any_moment_loses_no_line_before_the_last(tmp_path: Path) -> None:
    for name in "abcde":
        folder = tmp_path / name
        with worker(folder, 0, 10**9, 5000) as run:
            until(lambda folder=folder: len(list(folder.glob("*.jsonl"))) > 3)
            run.kill()
        close_leftovers(folder)
        kept = numbers(folder)
        assert kept == list(range(len(kept)))
        assert not list(folder.glob("*.open"))


def test_an_empty_leftover_goes_and_a_torn_one_stays(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.open").write_bytes(b"")
    (tmp_path / "b.jsonl.open").write_bytes(b'{"number":1}\n{"num')
    close_leftovers(tmp_path)
    assert numbers(tmp_path) == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["b.jsonl"]


def test_a_file_closed_by_its_writer_meanwhile_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl.open"
    path.write_bytes(b'{"number":1}\n')
    hold = files.try_lock

    def late(path: Path) -> Any:
        path.rename(prediction_log.closed_path(path))
        return hold(path)  # makes a new, empty file

    monkeypatch.setattr(files, "try_lock", late)
    close_leftovers(tmp_path)
    assert numbers(tmp_path) == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_damaged_lines_are_skipped_and_a_torn_last_one_is_no_damage(
    tmp_path: Path, log: Callable[[], str]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"number":1}\n{"num\n\0\0\n[]\n\n{"number":2}\n{"number":3')
    assert numbers(tmp_path) == [1, 2]
    assert log() == f"WARNING {path}: 4 damaged lines skipped\n"
    path.write_bytes(b'{"number":1}\n{"number":2}')
    assert numbers(tmp_path) == [1]
    assert log().count("WARNING") == 1


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="cannot read .*a.jsonl: No such file"):
        list(read_lines(tmp_path / "a.jsonl"))
