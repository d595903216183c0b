"""Free space on a disk is checked before the work that needs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shelfmark.core import disk
from shelfmark.errors import ShelfmarkError


def test_more_than_the_disk_has_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "made"
    with pytest.raises(ShelfmarkError) as raised:
        disk.require_free(folder, shutil.disk_usage(tmp_path).total * 2, "the work")
    message = str(raised.value)
    assert message.startswith("the work needs about ")
    assert f" of disk in {folder}, and " in message
    assert "\n" not in message
    assert not folder.parent.exists()


def test_what_the_disk_has_is_enough(tmp_path: Path) -> None:
    free = disk.free_bytes(tmp_path)
    assert free
    disk.require_free(tmp_path / "new", free // 2, "the work")
    disk.require_free(tmp_path, 0, "the work")


def test_much_is_said_and_little_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Callable[[], str]
) -> None:
    monkeypatch.setattr(disk, "WORTH_SAYING", 1000)
    disk.require_free(tmp_path, 999, "little")
    disk.require_free(tmp_path, 3 << 20, "much")
    assert log() == f"INFO much needs about 3.0 MB of disk in {tmp_path}\n"
