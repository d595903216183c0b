"""Files: opened, written atomically, digested, locked."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import filelock

from shelfmark.core import storage
from shelfmark.core.output import targets
from shelfmark.core.output.targets import PARTIAL as PARTIAL
from shelfmark.errors import ShelfmarkError

Location = Path | str  # a local path, or an address such as gs://bucket/folder/file
DIGEST_PREFIX = ".source-"  # of a file that holds the digest of a version of a file on a bucket


def parse_location(text: str) -> Location:
    """Return the location that a setting names: an address unchanged, else a path."""
    return text if storage.is_remote(text) else Path(text)


def readable_name(location: Location) -> str:
    """Return the name of a file as a text: Linux has names that are no UTF-8, records have none."""
    return os.fsencode(location).decode("utf-8", "replace")


def require_file(location: Location | None, setting: str) -> Location:
    """Return the location of a file, after checking that it is readable and not empty.

    Raises:
        ShelfmarkError: it is missing, a folder, unreadable or empty; the error names the setting.
    """
    if not location:
        raise ShelfmarkError(f"{setting} is not set: give the path of a file, {setting}=FILE")
    if isinstance(location, str) and storage.is_remote(location):
        if storage.file_size(location) == 0:
            raise ShelfmarkError(f"{setting}: {location} is empty")
        return location
    path = Path(location)
    try:
        status = path.stat()
    except (OSError, ValueError):  # missing, in a closed folder, or an impossible name
        raise ShelfmarkError(f"{setting}: there is no file {path}") from None
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not a regular file"
        raise ShelfmarkError(f"{setting}: {path} is {what}, a file is needed")
    if not os.access(path, os.R_OK):
        raise ShelfmarkError(f"{setting}: {path} cannot be read by this user")
    if status.st_size == 0:
        raise ShelfmarkError(f"{setting}: {path} is empty")
    return path


def file_size(location: Location) -> int:
    """Return the size of a file in bytes.

    Raises:
        ShelfmarkError: the address cannot be reached.
    """
    return storage.file_size(location) if isinstance(location, str) else location.stat().st_size


def open_raw(location: Location) -> IO[bytes]:
    """Open a file for reading its bytes without decompression; the file is seekable.

    Raises:
        ShelfmarkError: the address cannot be reached, now or while it is read.
    """
    return storage.open_remote(location) if isinstance(location, str) else open_regular(location)


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading; a pipe or a device is refused, never waited for.

    Raises:
        OSError: there is no such file, or it is no regular file.
    """
    # Looked at before it is opened, which has effects on some devices, and after: it may change.
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    raise OSError(errno.EINVAL, what, str(path))


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: there is no such file, it cannot be read, or it is no regular file.
    """
    with open_regular(path) as file:
        return file.read()


def sha256(location: Location) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        ShelfmarkError: the address cannot be reached, now or while it is read.
    """
    with open_raw(location) as file:
        return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()


class DigestingWriter:
    """A file that is written through, with the SHA-256 of what is written.

    Args:
        file: where the bytes go.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, content: bytes | bytearray | memoryview) -> int:
        """Write bytes, and return how many."""
        self._digest.update(content)
        return self._file.write(content)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all bytes so far, in hexadecimal."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def report_write_errors(target: Path) -> Iterator[None]:
    """Turn the system's error of a failed write into a `ShelfmarkError` of one line.

    Raises:
        ShelfmarkError: the disk is full, or the target cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ShelfmarkError(f"cannot write {target}: {error.strerror or error}") from error


@contextlib.contextmanager
def atomic_folder(target: Path, replace: bool = False) -> Iterator[Path]:
    """Yield a new folder that becomes the target after the block: complete or not at all.

    A link stays: the folder that it leads to is created or replaced.

    Args:
        target: the folder to create.
        replace: whether to replace an existing folder, which is removed only after the block.

    Raises:
        ShelfmarkError: the target exists, the disk is full, or the target cannot be written.
    """
    with report_write_errors(target):
        place = targets.follow_links(target)
    if place.exists() and not replace:
        raise ShelfmarkError(f"{target} exists already: choose another name or move it away")
    aside = targets.aside(place)
    older = aside.with_name(f"{aside.name}-older")
    with report_write_errors(target), targets.make_parents(place):
        try:
            targets.require_folder(place)
            aside.mkdir()
            yield aside
            if replace and (before := targets.require_folder(place)) is not None:
                targets.copy_permissions(aside, before)
                place.rename(older)
            aside.rename(place)
        finally:
            if older.exists() and not place.exists():
                older.rename(place)
            for leftover in (aside, older):
                shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def atomic_write(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file that replaces the target after the block: complete or not at all.

    A device, a pipe and an open file such as /dev/stdout are written to as they are. A link stays:
    the file that it leads to is created or replaced. A replaced file's permissions are kept.

    Raises:
        ShelfmarkError: the target is a folder or write-protected, the disk is full, or it cannot
            be written.
        OutputClosedError: the target is a pipe whose reader has ended.
    """
    with report_write_errors(target):
        if targets.is_stream(target):
            with targets.open_stream(target) as file:
                yield file
            return
        place = targets.follow_links(target)
        before = targets.require_replaceable(place)
        aside = targets.aside(place)
        with targets.make_parents(place):
            try:
                with aside.open("wb") as file:
                    if before is not None:  # before there is anything to read
                        targets.copy_permissions(aside, before)
                    yield file
                aside.replace(place)
            finally:
                with contextlib.suppress(OSError):
                    aside.unlink()


def point_link(target: Path, name: str) -> None:
    """Point a link beside a folder or file at it, in one step.

    Raises:
        ShelfmarkError: the disk does not take the link.
    """
    link = target.with_name(name)
    aside = target.with_name(f"{PARTIAL}{os.getpid()}-{name}")
    try:
        aside.unlink(missing_ok=True)
        aside.symlink_to(target.name, target_is_directory=True)
        aside.replace(link)
    except OSError as error:
        raise ShelfmarkError(f"cannot point {link} at it: {error.strerror or error}") from error


def clear_leftovers(folder: Path) -> None:
    """Remove the half-written files and folders that killed processes left in a folder."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        if owner_is_gone(leftover.name.removeprefix(PARTIAL)):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def owner_is_gone(name: str) -> bool:
    """Whether the process whose id begins a file name has ended."""
    owner = name.partition("-")[0]
    # In a container the same few ids recur: our own id may have been that of a killed process.
    return owner.isdigit() and (int(owner) == os.getpid() or not _alive(int(owner)))


def _alive(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there; its leftovers stay
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def try_lock(path: Path) -> IO[bytes] | None:
    """Return the file opened and locked until it is closed, None if another process holds it.

    The system releases the lock however the process ends. The file may hold content: nothing of it
    is changed.

    Raises:
        OSError: the file cannot be created or opened.
    """
    file = path.open("ab")
    with contextlib.suppress(FileNotFoundError, PermissionError):
        # The previous holder may have removed the file since it was opened: locking it then
        # excludes nobody.
        if filelock.lock_descriptor(file.fileno(), blocking=False) and os.path.samestat(
            os.fstat(file.fileno()), path.stat()
        ):
            return file
    file.close()
    return None
