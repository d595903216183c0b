"""UBJSON in the one form in which XGBoost writes a model, read piece by piece.

XGBoost writes the keys of an object in alphabetical order, every length as a 64-bit integer, and
every other integer in the smallest type that holds it. So whatever is known beforehand is compared
as bytes, and only the rest is decoded. Nothing is nested deeper, larger or twice there unless the
form says so, for no other form is read. Source: https://ubjson.org/type-reference.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

import numpy as np

from shelfmark.core.arrays import Doubles
from shelfmark.errors import ShelfmarkError

LENGTH = struct.Struct(">q")
# XGBoost leaves out both ends of each range.
INTEGERS = [(b"i", struct.Struct(">b")), (b"I", struct.Struct(">h")), (b"l", struct.Struct(">i"))]
WHOLE = re.compile(r"0|[1-9]\d{0,9}", re.ASCII)
EMPTY = b"[#" + b"L" + LENGTH.pack(0)


def encode_length(count: int) -> bytes:
    """Return the bytes of a length."""
    return b"L" + LENGTH.pack(count)


def encode_key(name: str) -> bytes:
    """Return the bytes of a key of an object."""
    return encode_length(len(name)) + name.encode()


def encode_text(value: str) -> bytes:
    """Return the bytes of a text."""
    return b"S" + encode_key(value)


def encode_integer(value: int) -> bytes:
    """Return the bytes of an integer, in the smallest type that holds it."""
    for marker, form in INTEGERS:
        bound = 1 << (8 * form.size - 1)
        if -bound < value < bound - 1:
            return marker + form.pack(value)
    return encode_length(value)


def encode_integers(values: Iterable[int]) -> bytes:
    """Return the bytes of an array of integers without a common type."""
    pieces = [encode_integer(value) for value in values]
    return b"[#" + encode_length(len(pieces)) + b"".join(pieces)


def encode_array_start(marker: bytes, count: int) -> bytes:
    """Return the bytes before the elements of an array with a common type."""
    return b"[$" + marker + b"#" + encode_length(count)


def encode_object(**values: bytes) -> bytes:
    """Return the bytes of an object from those of its values, whose keys are in order."""
    return b"{" + b"".join(encode_key(name) + value for name, value in values.items()) + b"}"


class Reader:
    """Reads bytes from the first to the last.

    Every method raises `ShelfmarkError`, with the position and the name it was given, where the
    bytes are not what is expected.

    Args:
        content: all bytes.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def error(self, reason: str) -> ShelfmarkError:
        """Return an error that says where the reader stands."""
        return ShelfmarkError(f"at byte {self._position}, {reason}")

    @property
    def bytes_left(self) -> int:
        """How many bytes are left."""
        return len(self._content) - self._position

    def accept(self, piece: bytes) -> bool:
        """Whether these bytes come next; if so, they are read."""
        comes = self._content.startswith(piece, self._position)
        if comes:
            self._position += len(piece)
        return comes

    def expect(self, piece: bytes, name: str) -> None:
        """Read these bytes."""
        if not self._content.startswith(piece, self._position):
            raise self.error(f"{name} is missing or not as XGBoost writes it")
        self._position += len(piece)

    def take(self, size: int, name: str) -> bytes:
        """Return as many bytes."""
        if size > self.bytes_left:
            raise self.error(f"{name} ends too early")
        self._position += size
        return self._content[self._position - size : self._position]

    def unpack(self, form: struct.Struct, name: str) -> tuple[bytes, ...]:
        """Return pieces of the sizes of a form."""
        if form.size > self.bytes_left:
            raise self.error(f"{name} ends too early")
        values = form.unpack_from(self._content, self._position)
        self._position += form.size
        return values

    def read_count(self, width: int, name: str) -> int:
        """Return a length, for whose elements of at least `width` bytes there are enough left."""
        self.expect(b"L", name)
        value: int = LENGTH.unpack(self.take(LENGTH.size, name))[0]
        if not 0 <= value <= self.bytes_left // width:
            raise self.error(f"{name} has the impossible length {value}")
        return value

    def read_text(self, longest: int, name: str) -> str:
        """Return a text of ASCII characters, at most so many."""
        self.expect(b"S", name)
        size = self.read_count(1, name)
        if size > longest:
            raise self.error(f"{name} is longer than {longest} characters")
        try:
            return self.take(size, name).decode("ascii")
        except UnicodeDecodeError:
            raise self.error(f"{name} holds no plain characters") from None

    def read_number(self, low: int, high: int, name: str) -> int:
        """Return a whole number from low to high, which XGBoost writes as text."""
        digits = self.read_text(10, name)
        if not WHOLE.fullmatch(digits) or not low <= int(digits) <= high:
            raise self.error(f"{name} is {digits!r}, not a number from {low} to {high}")
        return int(digits)

    def read_floats(self, count: int, name: str) -> Doubles:
        """Return an array of so many floats without a common type."""
        self.expect(b"[#" + encode_length(count), name)
        kind = np.dtype([("marker", "S1"), ("value", ">f4")])
        read = np.frombuffer(self.take(count * kind.itemsize, name), kind)
        if (read["marker"] != b"d").any():
            raise self.error(f"{name} holds something other than floats")
        return read["value"].astype(np.float64)

    def expect_end(self) -> None:
        """Raise `ShelfmarkError` if bytes are left."""
        if self.bytes_left:
            raise self.error("nothing is expected")
