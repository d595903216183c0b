"""Splits are complete or absent after a kill, an interruption or a full disk."""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.data import sources
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import CARD, Splits
from tests.support.moments import PATIENCE, until
from tests.support.prepared import adds_up, contents, prepare_elsewhere, refused
from tests.support.records import halves, made, write

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("damage", ["truncated", "broken"])
def test_other_processes_end_with_a_bad_file(
    snapshot_file: Path,
    settings: Callable[..., Config],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    content = snapshot_file.read_bytes()
    path = tmp_path / "a.json.gz"
    if damage == "truncated":
        path.write_bytes(gzip.compress(content)[:-900])
        reason = "a.json.gz: damaged or truncated"
    else:
        path.write_bytes(gzip.compress(content[:9000] + b"spam\n" * 30 + content))
        reason = "more than data.max_bad=0.01 allows"
    assert reason in refused(settings(path), capsys)
    gc.collect()
    assert multiprocessing.active_children() == []


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Papers enough that half of the work is a moment to be caught in."""
    return write(tmp_path_factory.mktemp("large") / "papers.json", halves(15_000))


def kill_when(run: subprocess.Popen[str], moment: Callable[[], bool]) -> None:
    """Kill a process as soon as a moment has come; it must not have ended by itself."""
    until(lambda: moment() or run.poll() is not None)
    assert run.poll() is None, f"ended before the moment: {run.communicate()[1]}"
    run.send_signal(signal.SIGKILL)
    # Ends only once its workers, which write to the same pipe, have ended too.
    run.communicate(timeout=PATIENCE)
    assert run.returncode == -signal.SIGKILL


@POSIX
@pytest.mark.parametrize("half", ["spill-*.arrow", "train.parquet"])
def test_a_kill_leaves_the_old_splits_and_no_new_ones(
    large_file: Path,
    snapshot_file: Path,
    settings: Callable[..., Config],
    tmp_path: Path,
    half: str,
) -> None:
    root = tmp_path / "data"
    old = prepare_splits(settings(snapshot_file)).folder
    before = contents(old)
    # The first half of the work by several processes, which must not outlive their parent.
    code = "prepare.WORTH_SHARING = 0; prepare.CHUNK = 500\n" * (half == "spill-*.arrow")
    run = prepare_elsewhere(f"{code}prepare.prepare_splits(settings)", settings(large_file), root)

    def writing() -> bool:
        return any(file.stat().st_size > 0 for file in root.glob(f".partial-*/{half}"))

    kill_when(run, writing)
    (left,) = [path for path in root.iterdir() if path != old]
    assert left.name.startswith(f"{files.PARTIAL}{run.pid}-")
    assert not (left / CARD).exists()
    assert contents(old) == before
    new = prepare_splits(settings(large_file)).folder
    assert new.name == left.name.removeprefix(f"{files.PARTIAL}{run.pid}-")
    assert set(root.iterdir()) == {old, new}, "the dead process's leftover is gone"
    assert adds_up(orjson.loads((new / CARD).read_bytes()))
    assert contents(old) == before


# An audit hook sees each system call before it is made, so the moment of the kill is exact.
KILL_AT = """
import os, signal

def kill(event, arguments):
    if event == "{event}" and any("{name}" in str(argument) for argument in arguments):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
prepare.prepare_splits(settings)
"""


@POSIX
def test_a_kill_at_the_last_moments_leaves_no_splits(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits, tmp_path: Path
) -> None:
    # One after the other: each clears away what the dead left, and the second is seen to.
    for event, name in {"os.remove": "spill-", "os.rename": ".partial-"}.items():
        code = KILL_AT.format(event=event, name=name)
        run = prepare_elsewhere(code, settings(snapshot_file), tmp_path / "data")
        _, stderr = run.communicate()
        assert (run.returncode, stderr) == (-signal.SIGKILL, "")
        left = [path.name for path in (tmp_path / "data").iterdir()]
        assert left == [f"{files.PARTIAL}{run.pid}-{splits.folder.name}"]
    again = prepare_splits(settings(snapshot_file))
    assert contents(again.folder) == contents(splits.folder)
    assert list((tmp_path / "data").iterdir()) == [again.folder]


FULL = """
import resource
unlimited = resource.RLIM_INFINITY
for room in {rooms}:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, unlimited))
    try:
        with console.one_line_errors():
            prepare.prepare_splits(settings)
    except SystemExit as end:
        assert end.code == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
"""


@POSIX
@pytest.mark.parametrize("workers", [False, True])
def test_no_room_on_the_disk_is_one_line_and_leaves_nothing(
    settings: Callable[..., Config], tmp_path: Path, workers: bool
) -> None:
    chance = random.Random(0)
    # Text that cannot be compressed: a split, which holds it twice, outgrows the spill.
    records = [
        made(i, "cs.AI" if i % 2 else "hep-th", abstract=chance.randbytes(300).hex(" "))
        for i in range(1500)
    ]
    path = write(tmp_path / "a.json", records)
    whole = prepare_splits(settings(path)).folder
    largest = (whole / "train.parquet").stat().st_size
    # The processes that clean the papers inherit the limit; each writes a part of the rows.
    code = "prepare.WORTH_SHARING = 0; prepare.CHUNK = 500\n" * workers
    rooms = (1000,) if workers else (0, 100_000, largest - 1)
    run = prepare_elsewhere(code + FULL.format(rooms=rooms), settings(path), tmp_path / "full")
    _, stderr = run.communicate()
    assert run.returncode == 0
    message = stderr.splitlines()
    assert len(message) == len(rooms)
    for line in message:
        assert line.startswith(f"error: cannot write {tmp_path / 'full' / whole.name}: ")
        assert "File too large" in line
    assert not (tmp_path / "full").exists()


INTERRUPTED = """
from shelfmark.data.sources.sample import parse_paper, read_records as generate

SYNTHETIC = False

def read_records(path):
    yield from generate(None, 5000)
    raise KeyboardInterrupt
"""


def test_an_interruption_leaves_nothing(
    tmp_path: Path,
    snapshot_file: Path,
    settings: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        prepare_splits(settings(snapshot_file, source="interrupted"))
    assert not (tmp_path / "data").exists()
