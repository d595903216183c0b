"""Finished stages of a training, on disk until the model is saved, so that a killed run resumes.

The result of a stage is one zip file: its structure, its arrays, and a manifest with the SHA-256 of
each. It is read as a model's files are, so that a checkpoint runs nothing either.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import orjson
from loguru import logger

from shelfmark.core import files, npy, structure
from shelfmark.core.arrays import Array
from shelfmark.errors import ShelfmarkError, one_line

SUFFIX = ".zip"
STRUCTURE, MANIFEST = "structure.pkl", "manifest.json"
UNFINISHED = ".unfinished-"
# The trainer of transformers keeps checkpoints of its own, each a folder below that of the stages.
# This file is the last that it writes, so that a folder that has it is whole.
FOLDER_MARK = "trainer_state.json"
LOCK = "lock"
MAX_AGE = 7 * 86400  # seconds after which an unfinished run is removed

T = TypeVar("T")


class Checkpoint:
    """The stages of one computation, each computed once: one file each, complete or missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = {path.stem for path in folder.glob(f"*{SUFFIX}")}

    def __contains__(self, name: str) -> bool:
        """Whether the result of a stage is saved."""
        return self._path(name).exists()

    def compute_once(self, name: str, work: Callable[[], T]) -> T:
        """Return the result of a stage, computing it only if no earlier run saved it.

        Raises:
            ShelfmarkError: as `save` and `load`.
        """
        if name not in self:
            self.save(name, work())
        result: T = self.load(name)
        if name in self._before:
            logger.info("{}: read from the checkpoint", name)
        return result

    def save(self, name: str, result: object) -> None:
        """Save the result of a stage, replacing any earlier one, and remove what is nested in it.

        Args:
            name: of the stage.
            result: what `structure.dump` takes.

        Raises:
            ShelfmarkError: the disk is full or cannot be written.
        """
        with (
            files.atomic_write(self._path(name)) as file,
            zipfile.ZipFile(file, "w") as archive,
        ):
            _write_result(archive, result)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def load(self, name: str) -> Any:
        """Return the saved result of a stage, None if it is not saved.

        Raises:
            ShelfmarkError: the file is damaged or foreign.
        """
        if name not in self:
            return None
        try:
            return _read_result(self._path(name))
        except Exception as error:  # a damaged zip may raise anything
            raise ShelfmarkError(
                f"{self._path(name)} was not opened: {one_line(error)}; "
                f"remove {self.folder} to start again"
            ) from error

    def nest_stage(self, name: str) -> Checkpoint:
        """Return the checkpoint of the parts of one stage, in a folder below that of the stages.

        It logs nothing: a part may be read in the run that saved it, and in another process.
        """
        nested = Checkpoint(self.folder / name)
        nested._before = set()
        return nested

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"


def _write_result(archive: zipfile.ZipFile, result: object) -> None:
    digests: dict[str, str] = {}

    @contextlib.contextmanager
    def create(name: str) -> Iterator[files.DigestingWriter]:
        with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
            digested = files.DigestingWriter(file)
            yield digested
        digests[name] = digested.hexdigest()

    content, arrays = structure.dump(result, create)
    with create(STRUCTURE) as file:
        file.write(content)
    specs = {name: spec.to_json() for name, spec in arrays.items()}
    archive.writestr(zipfile.ZipInfo(MANIFEST), orjson.dumps({"files": digests, "arrays": specs}))


def _read_result(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        source = _ZippedFiles(archive, path.stat().st_size)
        return structure.load(source.content(STRUCTURE), source)


class _ZippedFiles:
    """The files of a result in its zip file, as a source of structures."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        if sum(member.file_size for member in archive.infolist()) > size:
            raise ShelfmarkError("its members have more bytes than it has")
        manifest = orjson.loads(archive.read(self._member(MANIFEST)))
        self._digests = manifest["files"]
        self._arrays = manifest["arrays"]

    def content(self, name: str) -> memoryview:
        """Return the content of a file, in memory that may be written to."""
        member = self._member(name)
        content = bytearray(member.file_size)
        with self._archive.open(member) as file:
            read = cast(io.BufferedIOBase, file).readinto(content)
        if read != len(content) or hashlib.sha256(content).hexdigest() != self._digests[name]:
            raise ShelfmarkError(f"{name} is damaged")
        return memoryview(content)

    def array(self, name: str) -> Array:
        """Return the array of a .npy file, of the shape in the manifest."""
        return npy.view_array(self.content(name), npy.ArraySpec.from_json(self._arrays[name]))

    def _member(self, name: str) -> zipfile.ZipInfo:
        member = self._archive.getinfo(name)
        if member.compress_type != zipfile.ZIP_STORED:
            raise ShelfmarkError(f"{name} is no member of ours")
        return member


@contextlib.contextmanager
def temporary_checkpoint() -> Iterator[Checkpoint]:
    """Yield a checkpoint that is removed after the block."""
    with tempfile.TemporaryDirectory() as folder:
        yield Checkpoint(Path(folder))


@contextlib.contextmanager
def open_checkpoint(root: Path, key: str) -> Iterator[Checkpoint]:
    """Yield the checkpoint of the run with this key; it is removed once the block succeeds.

    Two live runs never share one: a run resumes the checkpoint of a killed run, or starts its own.

    Raises:
        ShelfmarkError: the folder cannot be written.
    """
    _remove_outdated(root)
    folder, lock = _claim(root, key)
    try:
        files.clear_leftovers(folder)
        yield Checkpoint(folder)
        _remove(folder, lock)
    except BaseException:
        with contextlib.suppress(OSError):
            left = [path.name for path in folder.iterdir()]
            if left == [LOCK]:  # the next run could resume nothing
                _remove(folder, lock)
        raise
    finally:
        lock.close()
    remove_unfinished(root, key)


def has_unfinished(root: Path, key: str) -> bool:
    """Whether there is a checkpoint with this key."""
    return any(root.glob(f"{UNFINISHED}{key}-*"))


def remove_unfinished(root: Path, key: str) -> None:
    """Remove the checkpoints that killed runs with this key have left."""
    for folder in root.glob(f"{UNFINISHED}{key}-*"):
        _remove_free(folder)


def _remove_outdated(root: Path) -> None:
    for folder in root.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another run may remove it at this very moment
            if time.time() - folder.stat().st_mtime > MAX_AGE:
                _remove_free(folder)


def _claim(root: Path, key: str) -> tuple[Path, IO[bytes]]:
    """Return the first folder with this key that no live run has locked, and its lock."""
    for number in itertools.count(1):
        folder = root / f"{UNFINISHED}{key}-{number}"
        with files.report_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = files.try_lock(folder / LOCK)
        if lock is not None:
            return folder, lock
    raise AssertionError  # count() has no end


def _remove_free(folder: Path) -> None:
    with contextlib.suppress(OSError):
        lock = files.try_lock(folder / LOCK)
        if lock is not None:
            _remove(folder, lock)


def _remove(folder: Path, lock: IO[bytes]) -> None:
    """Remove a locked folder: renamed first, in one step, so that no run resumes half of it."""
    if os.name == "nt":  # there, a folder with an open file cannot be moved
        lock.close()
    aside = folder.with_name(f"{files.PARTIAL}{os.getpid()}-{folder.name}")
    with contextlib.suppress(OSError):
        folder.rename(aside)
    lock.close()
    shutil.rmtree(aside, ignore_errors=True)
