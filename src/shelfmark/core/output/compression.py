"""Compresses what is written, by the suffix of its name."""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import lzma
from collections.abc import Callable, Iterator
from typing import IO, Any, cast


class GuardedFile:
    """A file that takes nothing more once its writer has failed.

    Compressors, and writers of Parquet, end a file as they are closed. After a failure that would
    make a part of the content, in a pipe, look like all of it.

    Args:
        file: where the bytes go; it stays open.
    """

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file: IO[bytes] | None = file

    def write(self, content: Any) -> int:
        """Write bytes, and return how many."""
        return memoryview(content).nbytes if self._file is None else self._file.write(content)

    def flush(self) -> None:
        """Pass on what is buffered."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Leave the file open: it belongs to the caller."""

    @contextlib.contextmanager
    def drop_after_failure(self) -> Iterator[None]:
        """Drop all that is written after the block fails."""
        try:
            yield
        except BaseException:
            self._file = None
            raise


def _gzip(file: Any) -> Any:
    # No time and no name in the header: the same content gives the same bytes.
    return gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0)


def _zstd(file: Any) -> Any:
    import pyarrow as pa  # imported here because the service runs without it

    return pa.CompressedOutputStream(pa.PythonFile(file, mode="w"), "zstd")


COMPRESSORS: dict[str, Callable[[Any], Any]] = {
    ".gz": _gzip,
    ".zst": _zstd,
    ".bz2": functools.partial(bz2.BZ2File, mode="wb"),
    ".xz": functools.partial(lzma.LZMAFile, mode="wb"),
}


@contextlib.contextmanager
def compress(file: IO[bytes], suffix: str) -> Iterator[IO[bytes]]:
    """Yield a file whose content is compressed into another; that one stays open.

    Args:
        file: where the compressed bytes go.
        suffix: one of `COMPRESSORS`, or "" for the bytes as they are.
    """
    if not suffix:
        yield file
        return
    guarded = GuardedFile(file)
    with COMPRESSORS[suffix](guarded) as packed, guarded.drop_after_failure():
        yield cast(IO[bytes], packed)
