"""Moves closed files of the prediction log to a folder or a bucket."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from shelfmark.core import files, storage
from shelfmark.errors import ShelfmarkError
from shelfmark.monitoring.prediction_log import CLOSED, close_leftovers

LOCK = ".shipping"


def ship_log(folder: Path, target: str) -> int:
    """Move the closed files of a folder to a target, and return their number.

    A file is removed only after a complete copy, so nothing is lost if the process is killed, and
    the call may be repeated. If another process ships the same folder, this one does nothing and
    returns 0.

    Args:
        folder: of the prediction log; files that dead processes left open are closed first.
        target: a folder or an address such as `gs://bucket/folder`, which must be readable too, to
            check the copy.

    Raises:
        ShelfmarkError: the folder is missing, or the target cannot be reached or written, or needs
            a package that is not installed.
    """
    if not folder.is_dir():
        raise ShelfmarkError(f"there is no folder {folder} to ship from")
    if not target:
        raise ShelfmarkError("no target: give a folder or an address like gs://bucket/folder")
    filesystem, place = storage.filesystem_for(target)
    if _is_local(filesystem) and Path(place).exists() and folder.samefile(place):
        raise ShelfmarkError(f"{target} is the folder to ship from: give another")
    with files.report_write_errors(folder):
        lock = files.try_lock(folder / LOCK)
    if lock is None:
        return 0
    with lock:
        close_leftovers(folder)
        closed = sorted(folder.glob(f"*{CLOSED}"))
        for file in closed:
            with storage.user_errors(target):
                _copy(file, filesystem, f"{place.rstrip('/')}/{file.name}")
            with files.report_write_errors(file):
                file.unlink(missing_ok=True)
    return len(closed)


def _is_local(filesystem: Any) -> bool:
    return isinstance(filesystem, LocalFileSystem)


def _copy(file: Path, filesystem: Any, there: str) -> None:
    """Copy a file, completely or not at all.

    An object in a bucket appears only when it is complete.
    """
    if _is_local(filesystem):
        _require_apart(file, Path(there))
    size = file.stat().st_size
    if _is_there(file, size, filesystem, there):
        return
    if _is_local(filesystem):
        with files.atomic_write(Path(there)) as copy, files.open_regular(file) as source:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())  # the original is about to go
    else:
        filesystem.put_file(str(file), there)
    if (arrived := filesystem.size(there)) != size:
        raise ShelfmarkError(f"{there} has {arrived} bytes and not the {size} of {file}: try again")


def _require_apart(file: Path, there: Path) -> None:
    """Check that a copy would be another file: else nothing would be left of it."""
    if there.resolve() == file.resolve():
        raise ShelfmarkError(f"{there} is a link to {file}, the file to ship: remove the link")
    if there.exists() and not there.is_file():
        raise ShelfmarkError(f"{there} is no file: move it away")


def _is_there(file: Path, size: int, filesystem: Any, there: str) -> bool:
    if not filesystem.exists(there) or filesystem.size(there) != size:
        return False
    return bool(filesystem.cat_file(there) == files.read_bytes(file))
