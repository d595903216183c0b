"""What a training has finished, kept on disk until its model is, so that a killed run goes on."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from loguru import logger

from shelfmark import files, pickles

UNFINISHED = ".unfinished-"
FORGOTTEN = 7 * 86400  # seconds after which nobody comes back for an unfinished run

T = TypeVar("T")


class Stages(Protocol):
    """The stages of a piece of work, each of which is done once."""

    def __contains__(self, name: str) -> bool:
        """Whether a stage is done."""

    def once(self, name: str, work: Callable[[], T]) -> T:
        """Return the result of a stage, doing the work only if it was not done before."""

    def keep(self, name: str, result: object) -> None:
        """Keep a result under a name, in the place of any before."""

    def kept(self, name: str) -> Any:
        """Return what is kept under a name, None if nothing is."""


class Unkept:
    """Stages of work that keeps nothing."""

    def __contains__(self, name: str) -> bool:
        """No stage is ever done."""
        return False

    def once(self, name: str, work: Callable[[], T]) -> T:
        """Do the work."""
        return work()

    def keep(self, name: str, result: object) -> None:
        """Forget the result."""

    def kept(self, name: str) -> Any:
        """Nothing is kept."""
        return None


class Checkpoint:
    """Stages kept as files of a folder, each of them whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, name: str) -> bool:
        """Whether a stage is done."""
        return self._path(name).exists()

    def once(self, name: str, work: Callable[[], T]) -> T:
        """Return the result of a stage, doing the work only if it was not done before."""
        if name in self:
            logger.info("{}: done before, read again", name)
            found: T = self.kept(name)
            return found
        result = work()
        self.keep(name, result)
        return result

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
        path = self._path(name)
        return pickles.load(path) if path.exists() else None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.pkl"


@contextlib.contextmanager
def opened(root: Path, key: str) -> Iterator[Checkpoint]:
    """Yield the stages of the work with this key; they are removed once the block succeeds.

    Two runs with one key never share a folder: each takes over what a run that is gone has left.
    """
    _forget(root)
    folder = root / f"{UNFINISHED}{os.getpid()}-{key}"
    for left in root.glob(f"{UNFINISHED}*-{key}"):
        if files.abandoned(left.name.removeprefix(UNFINISHED)):
            left.rename(folder)
            files.clear_leftovers(folder)
            logger.info("going on from {}, which an interrupted run has left", folder)
            break
    yield Checkpoint(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _forget(root: Path) -> None:
    for left in root.glob(f"{UNFINISHED}*"):
        if time.time() - left.stat().st_mtime > FORGOTTEN:
            shutil.rmtree(left, ignore_errors=True)
