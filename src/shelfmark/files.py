"""Files: opened through any usual compression, written aside and renamed, digested."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from shelfmark.errors import ShelfmarkError

COMPRESSIONS = (".zip", ".gz", ".bz2", ".xz", ".zst")
# What the decompressors raise on a damaged or truncated file.
DAMAGED = (EOFError, OSError, zipfile.BadZipFile, lzma.LZMAError, zlib.error)
PARTIAL = ".partial-"


def format_of(path: Path) -> str:
    """Return the suffix of a file's format behind any compression: `.json` of a.json.gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def existing(path: Path | str | None, setting: str) -> Path:
    """Return a path to a readable, non-empty file.

    Raises:
        ShelfmarkError: it is missing, a folder, unreadable or empty; names the setting.
    """
    if not path:
        raise ShelfmarkError(f"{setting} is not set: give the path of a file, {setting}=FILE")
    path = Path(path)
    try:
        found = path.stat()
    except (OSError, ValueError):  # not there, in a closed folder, or no possible name
        raise ShelfmarkError(f"{setting}: there is no file {path}") from None
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no ordinary file"
        raise ShelfmarkError(f"{setting}: {path} is {what}, a file is needed")
    if not os.access(path, os.R_OK):
        raise ShelfmarkError(f"{setting}: {path} may not be read by this user")
    if found.st_size == 0:
        raise ShelfmarkError(f"{setting}: {path} is empty")
    return path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading its uncompressed bytes; the suffix tells the compression.

    Raises:
        ShelfmarkError: the file is damaged or truncated, or a zip of several files.
    """
    try:
        with contextlib.ExitStack() as stack:
            yield stack.enter_context(_decompressed(path))
    except DAMAGED as error:
        raise ShelfmarkError(
            f"{path}: damaged or truncated ({error or type(error).__name__}); fetch it again"
        ) from error


def _decompressed(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if suffix == ".bz2":
        return bz2.open(path)
    if suffix == ".xz":
        return lzma.open(path)
    if suffix == ".zst":
        import pyarrow as pa  # here alone: serving does without it

        return _buffered(pa.input_stream(str(path), "zstd"))
    if suffix == ".zip":
        return _only_member(path)
    return path.open("rb")


def _only_member(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    members = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) != 1:
        raise ShelfmarkError(f"{path}: holds {len(members)} files, one is needed; unpack it first")
    try:
        member = archive.open(members[0])
    except RuntimeError as error:  # a password, or a method that Python does not know
        raise ShelfmarkError(f"{path}: {error}; unpack it first") from error
    # The member's own readline is Python code; the buffer reads lines four times as fast.
    return _buffered(member)


def _buffered(stream: object) -> IO[bytes]:
    return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the system says of a failed writing into one line.

    Raises:
        ShelfmarkError: the disk is full, or the place cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ShelfmarkError(f"cannot write {target}: {error.strerror or error}") from error


@contextlib.contextmanager
def folder_aside(target: Path) -> Iterator[Path]:
    """Yield a fresh folder beside the target, renamed to it at the end: all of it or nothing.

    Raises:
        ShelfmarkError: the target exists, the disk is full, or the place cannot be written.
    """
    if target.exists():
        raise ShelfmarkError(f"{target} exists already: choose another name or move it away")
    aside = target.with_name(f"{PARTIAL}{os.getpid()}-{target.name}")
    try:
        with writing(target):
            aside.mkdir(parents=True)
            yield aside
            aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def file_aside(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file beside the target that takes its place at the end: all of it or nothing.

    Raises:
        ShelfmarkError: the disk is full, or the place cannot be written.
    """
    aside = target.with_name(f"{PARTIAL}{os.getpid()}-{target.name}")
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                yield file
            aside.replace(target)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed run of a process that is gone left half-written in a folder."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        if abandoned(leftover.name.removeprefix(PARTIAL)):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def abandoned(name: str) -> bool:
    """Whether the process whose number begins a name is gone."""
    owner = name.partition("-")[0]
    # In a container every process has the same few numbers: our own was another's before.
    return owner.isdigit() and (int(owner) == os.getpid() or not _alive(int(owner)))


def _alive(pid: int) -> bool:
    if os.name == "nt":  # there, os.kill ends the process; its leftovers stay until removed by hand
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
