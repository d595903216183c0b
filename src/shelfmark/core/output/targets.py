"""Where an output goes: a stream is written to, a file is replaced, and a link is followed.

A rename over a device, a pipe or a link would put a plain file in its place.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from shelfmark.errors import OutputClosedError, ShelfmarkError

PARTIAL = ".partial-"
STANDARD = "-"  # standard input, or standard output
MAX_LINKS = 40  # of a chain, as for Linux
LONGEST_NAME = 200  # bytes; file systems take 255
# Folders of the open files of a process, where the name of each is its number.
DESCRIPTORS = re.compile(r"/proc/(\d+)(?:/task/\d+)?/fd")
MACOS_DESCRIPTORS = "/dev/fd"


class OutputStream(io.FileIO):
    """A descriptor that output is written to; errors name it.

    Args:
        descriptor: open for writing.
        name: its name in errors.
        closefd: whether closing the stream closes the descriptor.
    """

    def __init__(self, descriptor: int, name: str, *, closefd: bool = True) -> None:
        super().__init__(descriptor, "wb", closefd=closefd)
        self._name = name

    def write(self, data: Any) -> int:
        """Write bytes, and return how many were written.

        Raises:
            OutputClosedError: the reader of the pipe has ended.
            OSError: any other failure.
        """
        try:
            return super().write(data)
        except BrokenPipeError as error:
            raise OutputClosedError(self._name) from error
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error


def is_stream(path: Path) -> bool:
    """Whether output is written to what stands at a path, and does not replace it.

    That is a device, a pipe, a socket, or an open file of this process, such as /dev/stdout.

    Raises:
        OSError: the path cannot be followed, such as a loop of links.
    """
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def open_stream(path: Path) -> IO[bytes]:
    """Open a stream for writing; a named pipe waits for its reader.

    Raises:
        OSError: it cannot be opened, such as a socket.
    """
    descriptor = _descriptor(path)
    if descriptor is None:
        # Neither created nor truncated: what stands there was looked at before.
        opened = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    else:
        opened = os.dup(descriptor)  # which keeps the position of a file, and whether it appends
    return io.BufferedWriter(OutputStream(opened, str(path)))


def require_apart(out: str, sources: Iterable[Path | str], setting: str = "--out") -> None:
    """Check that an output is none of the files that are read, whatever their names.

    Links, hard links and redirected standard input and output count as the file that they lead to.

    Args:
        out: path, or `-` for standard output.
        sources: paths, addresses, or `-` for standard input.
        setting: the name of the output in the error.

    Raises:
        ShelfmarkError: they are one file.
    """
    written = _status_of(out, sys.stdout)
    if written is None or stat.S_ISCHR(written.st_mode) or stat.S_ISSOCK(written.st_mode):
        return  # a terminal and a connection are read and written
    for source in sources:
        read = _status_of(source, sys.stdin)
        if read is not None and os.path.samestat(read, written):
            target = "standard output" if out == STANDARD else out
            source = "standard input" if source == STANDARD else source
            raise ShelfmarkError(
                f"{setting}: {target} is the file that is read ({source}): choose another"
            )


def _status_of(place: Path | str, standard: IO[str] | None) -> os.stat_result | None:
    """Return the status of a file, None if there is none."""
    with contextlib.suppress(OSError, ValueError):
        if place != STANDARD:
            return Path(place).stat()
        if standard is not None:
            return os.fstat(standard.fileno())
    return None


def follow_links(path: Path) -> Path:
    """Return the path that a chain of links leads to, whether it exists or not.

    Raises:
        OSError: the links form a loop.
    """
    *_, last = _chain(path)
    return last


def aside(path: Path) -> Path:
    """Return the path beside a file or a folder where this process prepares the next one."""
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f"{PARTIAL}{os.getpid()}-{name}")


@contextlib.contextmanager
def make_parents(path: Path) -> Iterator[None]:
    """Create the missing folders above a path; they are removed again if the block fails.

    Raises:
        OSError: they cannot be created.
    """
    parent = path.parent
    if not parent.exists():
        parent = Path(os.path.realpath(parent))  # which a link may lead to
    above = (parent, *parent.parents)
    missing = list(itertools.takewhile(lambda folder: not folder.exists(), above))
    parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in missing:  # the deepest first
            with contextlib.suppress(OSError):  # another writer uses it
                folder.rmdir()
        raise


def require_replaceable(path: Path) -> os.stat_result | None:
    """Return the status of the regular file at a path, None if there is nothing.

    Raises:
        OSError: it is a folder, or nobody may write the file.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, a file is needed", str(path))
    if not found.st_mode & 0o222:  # also for root, and where the folder would allow a rename
        raise PermissionError(errno.EACCES, "Permission denied, it is write-protected", str(path))
    return found


def require_folder(path: Path) -> os.stat_result | None:
    """Return the status of the folder at a path, None if there is nothing.

    Raises:
        OSError: it is no folder.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is a file, a folder is needed", str(path))
    return found


def copy_permissions(path: Path, replaced: os.stat_result) -> None:
    """Give a new file or folder the permissions and the owner of the one that it replaces."""
    if os.name == "nt":
        return
    # Not every file system keeps them, and only root may give a file away.
    with contextlib.suppress(OSError):
        new = path.stat()
        if (new.st_uid, new.st_gid) != (replaced.st_uid, replaced.st_gid):
            os.chown(path, replaced.st_uid, replaced.st_gid)
    mode = stat.S_IMODE(replaced.st_mode)
    if not stat.S_ISDIR(replaced.st_mode):
        mode &= 0o777  # no right to run as its owner
    with contextlib.suppress(OSError):
        path.chmod(mode)


def _chain(path: Path) -> Iterator[Path]:
    """Yield a path, and the path that each link leads to."""
    for _ in range(MAX_LINKS + 1):
        yield path
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _descriptor(path: Path) -> int | None:
    """Return the number of the open file of this process that a path names: 1 for /dev/stdout."""
    for link in _chain(path):
        if link.name.isdecimal() and _is_own_descriptors(os.path.realpath(link.parent)):
            return int(link.name)
    return None


def _is_own_descriptors(folder: str) -> bool:
    if folder == MACOS_DESCRIPTORS:
        return True
    match = DESCRIPTORS.fullmatch(folder)
    return match is not None and match[1] == os.path.realpath("/proc/self").rpartition("/")[2]
