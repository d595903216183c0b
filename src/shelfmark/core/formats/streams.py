"""Byte streams whose first bytes are read ahead, and whose errors name the file."""

from __future__ import annotations

import io
import itertools
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from shelfmark.errors import ShelfmarkError

HEAD = 1 << 16  # bytes: enough for any signature, and for a line or two
CHUNK = 1 << 20  # bytes
LONGEST_LINE = 1 << 24  # bytes: what has no line ends may be longer than the memory
# Raised by the decompressors on a damaged or truncated file; pyarrow's are OSErrors.
DECOMPRESSION_ERRORS = (
    EOFError, OSError, ValueError, NotImplementedError, zipfile.BadZipFile, tarfile.TarError,
    lzma.LZMAError, zlib.error,
)  # fmt: skip


class Stream(io.RawIOBase):
    """A stream of bytes that arrive in pieces, of which the first can be looked at.

    Args:
        source: where the bytes come from.
        place: the name of the file in errors.
        sized: whether the head is as long as the file allows; else it holds what has arrived, at
            least one byte.
    """

    def __init__(self, source: Any, place: str, *, sized: bool = True) -> None:
        self._read: Callable[[int], bytes] = getattr(source, "read1", None) or source.read
        self.place = place
        self._pending = b""
        self._ended = False
        self.look(HEAD if sized else 1)

    @property
    def head(self) -> bytes:
        """The bytes that are read ahead."""
        return self._pending

    def look(self, size: int, until: bytes = b"") -> bytes:
        """Read ahead so many bytes, or until some bytes have come; return all that are ahead.

        Raises:
            ShelfmarkError: the file is damaged or truncated.
        """
        while len(self._pending) < size and not self._ended:
            if until and until in self._pending:
                break
            self._pending += self.read_piece()
        return self._pending

    def peek_lines(self, count: int) -> list[bytes]:
        """Return the first lines that are not blank, read ahead; fewer at the end.

        A line that is longer than the head is cut.

        Raises:
            ShelfmarkError: the file is damaged or truncated.
        """
        while True:
            *lines, last = self._pending.split(b"\n")
            lines = [line for line in lines if line.strip()]
            if len(lines) >= count or self._ended or len(self._pending) >= HEAD:
                return [*lines, last][:count]
            self._pending += self.read_piece()

    def read_piece(self) -> bytes:
        """Return the next bytes of the source, none at its end; those ahead stay ahead.

        Raises:
            ShelfmarkError: the file is damaged or truncated.
        """
        try:
            piece = self._read(CHUNK)
        except DECOMPRESSION_ERRORS as error:
            reason = error or type(error).__name__
            raise ShelfmarkError(
                f"{self.place}: damaged or truncated ({reason}); fetch it again"
            ) from error
        self._ended = not piece
        return piece

    def readable(self) -> bool:
        """Whether the stream can be read: it can."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the next bytes, as many as have come."""
        piece = self._pending or self.read_piece()
        size = min(len(piece), len(buffer))
        buffer[:size] = piece[:size]
        self._pending = piece[size:]
        return size

    def lines(self) -> Iterator[bytes]:
        """Yield the lines, each with its end.

        Raises:
            ShelfmarkError: a line is too long, or the file is damaged or truncated.
        """
        readline = self.with_buffer().readline
        for number in itertools.count(1):
            line = readline(LONGEST_LINE)
            if not line:
                return
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                raise ShelfmarkError(
                    f"{self.place}: line {number} has more than {LONGEST_LINE:,} bytes"
                )
            yield line

    def with_buffer(self) -> io.BufferedReader:
        """Return the stream with a buffer, whose lines are read in C."""
        return io.BufferedReader(self, CHUNK)


def spool(stream: Stream) -> IO[bytes]:
    """Return the rest of a stream as a temporary file, for readers that seek."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    while piece := stream.read(CHUNK):
        file.write(piece)
    file.seek(0)
    return cast(IO[bytes], file)
