"""What a training has finished, kept on disk until its model is, so that a killed run goes on."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from loguru import logger

from shelfmark.core import files, locks, pickles
from shelfmark.errors import ShelfmarkError

UNFINISHED = ".unfinished-"
LOCK = "lock"
FORGOTTEN = 7 * 86400  # seconds after which nobody comes back for an unfinished run

T = TypeVar("T")


class Checkpoint:
    """The stages of a piece of work, each done once: files of a folder, each whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = {path.stem for path in folder.glob("*.pkl")}

    def __contains__(self, name: str) -> bool:
        """Whether a stage is done."""
        return self._path(name).exists()

    def once(self, name: str, work: Callable[[], T]) -> T:
        """Return the result of a stage, doing the work only if it was not done before.

        Raises:
            ShelfmarkError: as `keep` and `kept`.
        """
        if name in self._before:
            logger.info("{}: done before, read again", name)
        if name not in self:
            self.keep(name, work())
        found: T = self.kept(name)
        return found

    def keep(self, name: str, result: object) -> None:
        """Keep a result under a name, in the place of any before.

        Raises:
            ShelfmarkError: the disk is full or cannot be written.
        """
        with files.file_aside(self._path(name)) as file:
            pickle.dump(result, file, protocol=5)

    def kept(self, name: str) -> Any:
        """Return what is kept under a name, None if nothing is.

        Raises:
            ShelfmarkError: the file is damaged or foreign.
        """
        if name not in self:
            return None
        try:
            return pickles.load(self._path(name))
        except ShelfmarkError as error:
            raise ShelfmarkError(f"{error}; remove {self.folder} to start afresh") from error

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Name a folder for files of the moment, removed after the block or by who takes over."""
        folder = self.folder / f"{files.PARTIAL}{os.getpid()}-scratch"
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.pkl"


@contextlib.contextmanager
def temporary() -> Iterator[Checkpoint]:
    """Yield stages that nobody comes back for."""
    with tempfile.TemporaryDirectory() as folder:
        yield Checkpoint(Path(folder))


@contextlib.contextmanager
def opened(root: Path, key: str) -> Iterator[Checkpoint]:
    """Yield the stages of the work with this key; they are removed once the block succeeds.

    Two live runs never share them: a run takes over what one that is gone has left, or begins.

    Raises:
        ShelfmarkError: the place cannot be written.
    """
    _forget_old(root)
    folder, lock = _claim(root, key)
    try:
        files.clear_leftovers(folder)
        yield Checkpoint(folder)
        _remove(folder, lock)
    finally:
        lock.close()
    forget(root, key)


def left(root: Path, key: str) -> bool:
    """Whether there are stages of the work with this key."""
    return any(root.glob(f"{UNFINISHED}{key}-*"))


def forget(root: Path, key: str) -> None:
    """Remove what runs with this key that are gone have left."""
    for folder in root.glob(f"{UNFINISHED}{key}-*"):
        _remove_free(folder)


def _forget_old(root: Path) -> None:
    for folder in root.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another run may remove it at this very moment
            if time.time() - folder.stat().st_mtime > FORGOTTEN:
                _remove_free(folder)


def _claim(root: Path, key: str) -> tuple[Path, IO[bytes]]:
    """Return the first folder with this key that no live run holds, and the lock on it."""
    for number in itertools.count(1):
        folder = root / f"{UNFINISHED}{key}-{number}"
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = locks.hold(folder / LOCK)
        if lock is not None:
            return folder, lock
    raise AssertionError  # count() has no end


def _remove_free(folder: Path) -> None:
    with contextlib.suppress(OSError):
        lock = locks.hold(folder / LOCK)
        if lock is not None:
            _remove(folder, lock)


def _remove(folder: Path, lock: IO[bytes]) -> None:
    """Remove a held folder: first out of the way of others, in one step, then file by file."""
    if os.name == "nt":  # there, a folder with an open file cannot be moved
        lock.close()
    aside = folder.with_name(f"{files.PARTIAL}{os.getpid()}-{folder.name}")
    with contextlib.suppress(OSError):
        folder.rename(aside)
    lock.close()
    shutil.rmtree(aside, ignore_errors=True)
