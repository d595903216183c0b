"""The name of a training: reserved from its start to its end, so that no work is done twice."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from shelfmark.config.trainings import Settings, kind_of
from shelfmark.core import files
from shelfmark.core.checkpoint import MAX_AGE
from shelfmark.errors import ShelfmarkError

RESERVED = ".training-"


@contextlib.contextmanager
def reserve_name(settings: Settings) -> Iterator[str]:
    """Yield the name of a training, which no other training of this folder takes meanwhile.

    The system releases the lock behind it however the process ends. A name that is generated is
    one that nobody has.

    Raises:
        ShelfmarkError: a training of the configured name is running, or the folder cannot be
            written.
    """
    folder = kind_of(settings).folder(settings)
    name, lock = _lock_name(folder, settings)
    try:
        yield name
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file
            (folder / f"{RESERVED}{name}").unlink()
        lock.close()


def default_name(settings: Settings) -> str:
    """Return a name of the time, the data and the experiment: 20260102-030405-sample-fast."""
    parts = (f"{datetime.now(UTC):%Y%m%d-%H%M%S}", settings.data.source, settings.experiment)
    return "-".join(part for part in parts if part)


def _lock_name(folder: Path, settings: Settings) -> tuple[str, IO[bytes]]:
    with files.report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _remove_outdated(folder)
    if settings.name:
        if lock := _lock(folder, settings.name):
            return settings.name, lock
        raise ShelfmarkError(
            f"name={settings.name}: a training of this name is running; "
            "choose another name, or wait until it has ended"
        )
    first = default_name(settings)
    for number in itertools.count(1):
        name = first if number == 1 else f"{first}-{number}"
        if not (folder / name).exists() and (lock := _lock(folder, name)):
            return name, lock
    raise AssertionError  # count() has no end


def _lock(folder: Path, name: str) -> IO[bytes] | None:
    path = folder / f"{RESERVED}{name}"
    with files.report_write_errors(path):
        while True:
            lock = files.try_lock(path)
            # None where a training holds it, or where one that has just ended has removed it.
            if lock is not None or path.exists():
                return lock


def _remove_outdated(folder: Path) -> None:
    """Remove what killed trainings left long ago; a repeated name uses it again."""
    for path in folder.glob(f"{RESERVED}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > MAX_AGE and (lock := files.try_lock(path)):
                path.unlink()
                lock.close()
