"""Bodies that are packed by gzip, unpacked in pieces of a bounded size.

A few kilobytes can unpack to gigabytes, so no piece is unpacked before the last one is counted.
Source: RFC 1952; a body of several members is their concatenation.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from shelfmark.service.responses import RefusedFieldError

GZIP_ONLY = 16 + zlib.MAX_WBITS  # gzip's header and checksum, neither zlib's nor none
STATE_BYTES = 1 << 16  # that unpacking takes besides what is unpacked
NOT_GZIP = "is not gzip, as Content-Encoding says, or is damaged"
MAX_MEMBERS = 1000  # each takes microseconds, however empty it is


class Unpacker:
    """Unpacks a body while it arrives.

    Args:
        piece: most bytes that are unpacked at once.
    """

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self._member = zlib.decompressobj(GZIP_ONLY)
        self._members = 1

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """Yield what more bytes of the body unpack to.

        Raises:
            RefusedFieldError: 400, they are not gzip or damaged, or more follows the end.
        """
        full = False
        while packed or full:
            if self._member.eof:
                self._start_member()
            try:
                unpacked = self._member.decompress(packed, self._piece)
            except zlib.error:
                raise _damaged(NOT_GZIP) from None
            packed = self._member.unused_data or self._member.unconsumed_tail
            # A full piece may not be all that the bytes so far unpack to.
            full = len(unpacked) == self._piece and not self._member.eof
            if unpacked:
                yield unpacked

    def end(self) -> None:
        """Check that the body is complete.

        Raises:
            RefusedFieldError: 400, it ends too early.
        """
        if not self._member.eof:
            raise _damaged("ends before its gzip data does")

    def _start_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise _damaged(f"has more than {MAX_MEMBERS:,} members of gzip")
        self._member = zlib.decompressobj(GZIP_ONLY)


def _damaged(problem: str) -> RefusedFieldError:
    return RefusedFieldError(400, "body", problem)
