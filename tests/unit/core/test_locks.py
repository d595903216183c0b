"""Locks: one holder at a time, and none once it is gone, however it went."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shelfmark.core import locks

HOLDER = """
import sys, time
from pathlib import Path
from shelfmark.core import locks
held = locks.hold(Path(sys.argv[1]))
print(held is not None, flush=True)
time.sleep(600)
"""


def test_a_second_holder_waits_for_the_first_to_let_go(tmp_path: Path) -> None:
    first = locks.hold(tmp_path / "lock")
    assert first is not None
    assert locks.hold(tmp_path / "lock") is None
    first.close()
    second = locks.hold(tmp_path / "lock")
    assert second is not None
    second.close()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline().strip() == b"True"
        assert locks.hold(tmp_path / "lock") is None
        run.kill()
    held = locks.hold(tmp_path / "lock")
    assert held is not None
    held.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
def test_a_lock_that_was_removed_meanwhile_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    lock = locks._lock

    def lock_late(descriptor: int) -> None:
        path.unlink()
        lock(descriptor)

    monkeypatch.setattr(locks, "_lock", lock_late)
    assert locks.hold(path) is None


def test_a_place_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        locks.hold(tmp_path / "no" / "lock")
