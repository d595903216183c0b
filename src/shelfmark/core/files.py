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
from collections.abc import Container, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from shelfmark.core import storage
from shelfmark.errors import ShelfmarkError

Place = Path | str  # a path of this machine, or an address such as gs://bucket/folder/file
COMPRESSIONS = (".zip", ".gz", ".bz2", ".xz", ".zst")
# What the decompressors raise on a damaged or truncated file.
DAMAGED = (EOFError, OSError, zipfile.BadZipFile, lzma.LZMAError, zlib.error)
PARTIAL = ".partial-"
NOTE = ".source-"  # the digest of a version of a file on a bucket


def place_of(text: str) -> Place:
    """Return what a setting names: an address as it is, else a path."""
    return text if storage.is_remote(text) else Path(text)


def format_of(place: Place) -> str:
    """Return the suffix of a file's format behind any compression: `.json` of a.json.gz."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(place).suffixes]
    while suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def existing(place: Place | None, setting: str) -> Place:
    """Return a path to a readable, non-empty file, or the address of one.

    Raises:
        ShelfmarkError: it is missing, a folder, unreadable or empty; names the setting.
    """
    if not place:
        raise ShelfmarkError(f"{setting} is not set: give the path of a file, {setting}=FILE")
    if isinstance(place, str) and storage.is_remote(place):
        if storage.size(place) == 0:
            raise ShelfmarkError(f"{setting}: {place} is empty")
        return place
    path = Path(place)
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


def size(place: Place) -> int:
    """Return the bytes of a file.

    Raises:
        ShelfmarkError: its address cannot be reached.
    """
    return storage.size(place) if isinstance(place, str) else place.stat().st_size


def raw(place: Place) -> IO[bytes]:
    """Open a file for reading its bytes as they are, also from the middle.

    Raises:
        ShelfmarkError: its address cannot be reached, now or while it is read.
    """
    return storage.opened(place) if isinstance(place, str) else place.open("rb")


@contextlib.contextmanager
def opened(place: Place) -> Iterator[IO[bytes]]:
    """Open a file for reading its uncompressed bytes; the suffix tells the compression.

    Raises:
        ShelfmarkError: the file is damaged or truncated, a zip of several files, or cannot be
            reached.
    """
    try:
        with raw(place) as file, _decompressed(place, file) as content:
            yield content
    except DAMAGED as error:
        raise ShelfmarkError(
            f"{place}: damaged or truncated ({error or type(error).__name__}); fetch it again"
        ) from error


def _decompressed(place: Place, file: IO[bytes]) -> IO[bytes]:
    suffix = PurePosixPath(place).suffix.lower()
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(file))
    if suffix == ".bz2":
        return bz2.open(file)
    if suffix == ".xz":
        return lzma.open(file)
    if suffix == ".zst":
        import pyarrow as pa  # here and for Parquet alone: serving does without it

        return _buffered(pa.CompressedInputStream(file, "zstd"))
    if suffix == ".zip":
        return _only_member(place, file)
    return file


def _only_member(place: Place, file: IO[bytes]) -> IO[bytes]:
    archive = zipfile.ZipFile(file)
    members = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) != 1:
        raise ShelfmarkError(f"{place}: holds {len(members)} files, one is needed; unpack it first")
    try:
        member = archive.open(members[0])
    except RuntimeError as error:  # a password, or a method that Python does not know
        raise ShelfmarkError(f"{place}: {error}; unpack it first") from error
    # The member's own readline is Python code; the buffer reads lines four times as fast.
    return _buffered(member)


def _buffered(stream: object) -> IO[bytes]:
    return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)


def parquet_rows(
    place: Place, batch: int, fields: Container[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Stream the rows of a Parquet file, with some of its columns where they are there.

    Raises:
        ShelfmarkError: it is no Parquet file, damaged, or cannot be reached.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with contextlib.ExitStack() as stack:
            # Of a path Arrow reads the file itself, which is faster.
            source = place if isinstance(place, Path) else stack.enter_context(raw(place))
            table = stack.enter_context(pq.ParquetFile(source))
            columns = [x for x in table.schema_arrow.names if fields is None or x in fields]
            for rows in table.iter_batches(batch, columns=columns):
                yield from rows.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ShelfmarkError(f"{place}: not a readable Parquet file ({error})") from error


def sha256(place: Place) -> str:
    """Return a file's SHA-256 in hexadecimal.

    Raises:
        ShelfmarkError: its address cannot be reached, now or while it is read.
    """
    with raw(place) as file:
        return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()


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
def folder_aside(target: Path, replace: bool = False) -> Iterator[Path]:
    """Yield a fresh folder beside the target, renamed to it at the end: all of it or nothing.

    Args:
        target: the folder to be.
        replace: whether it takes the place of an older one, which goes only then.

    Raises:
        ShelfmarkError: the target exists, the disk is full, or the place cannot be written.
    """
    if target.exists() and not replace:
        raise ShelfmarkError(f"{target} exists already: choose another name or move it away")
    aside = target.with_name(f"{PARTIAL}{os.getpid()}-{target.name}")
    older = aside.with_name(f"{aside.name}-older")
    try:
        with writing(target):
            aside.mkdir(parents=True)
            yield aside
            if replace and target.exists():
                target.rename(older)
            aside.rename(target)
    finally:
        if older.exists() and not target.exists():
            older.rename(target)
        for leftover in (aside, older):
            shutil.rmtree(leftover, ignore_errors=True)


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
