"""Closed files of the prediction log, moved to where they are kept: a folder or a bucket."""

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
    """Move the closed files of a folder to a target, and return how many.

    A file leaves the folder only once all of it is there, so nothing is lost if this is killed,
    and it may be run again at any time. While another process ships the same folder, it does
    nothing and returns 0.

    Args:
        folder: where the prediction log is written; what dead processes left open is closed first.
        target: a folder or an address like `gs://bucket/folder`. What ships must be allowed to read
            there too, to see whether all has arrived.

    Raises:
        ShelfmarkError: there is no such folder, or the target cannot be reached or written, or
            needs a package that is not installed.
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
    """Have a file at a place, all of it or nothing.

    An object in a bucket appears whole by itself.
    """
    size = file.stat().st_size
    if _is_there(file, size, filesystem, there):
        return
    if _is_local(filesystem):
        with files.atomic_write(Path(there)) as copy, file.open("rb") as source:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())  # the original is about to go
    else:
        filesystem.put_file(str(file), there)
    if (arrived := filesystem.size(there)) != size:
        raise ShelfmarkError(f"{there} has {arrived} bytes and not the {size} of {file}: try again")


def _is_there(file: Path, size: int, filesystem: Any, there: str) -> bool:
    if not filesystem.exists(there) or filesystem.size(there) != size:
        return False
    return bool(filesystem.cat_file(there) == file.read_bytes())
