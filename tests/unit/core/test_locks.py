"""Locks: one holder at a time, and released when the holder ends, in any way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from shelfmark.core import files

HOLDER = """
import sys, time
from pathlib import Path
from shelfmark.core import files
held = files.try_lock(Path(sys.argv[1]))
print(held is not None, flush=True)
time.sleep(36_000)
"""


def test_a_second_holder_waits_for_the_first_to_let_go(tmp_path: Path) -> None:
    first = files.try_lock(tmp_path / "lock")
    assert first is not None
    assert files.try_lock(tmp_path / "lock") is None
    first.close()
    second = files.try_lock(tmp_path / "lock")
    assert second is not None
    second.close()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline().strip() == b"True"
        assert files.try_lock(tmp_path / "lock") is None
        run.kill()
    held = files.try_lock(tmp_path / "lock")
    assert held is not None
    held.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
def test_a_lock_that_was_removed_meanwhile_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    lock = filelock.lock_descriptor

    def lock_late(descriptor: int, *, blocking: bool) -> bool:
        path.unlink()
        return lock(descriptor, blocking=blocking)

    monkeypatch.setattr(filelock, "lock_descriptor", lock_late)
    assert files.try_lock(path) is None


def test_a_missing_place_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.try_lock(tmp_path / "no" / "lock")
