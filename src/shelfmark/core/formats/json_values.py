"""JSON values that are no lines of their own: in an array, or indented over several lines.

Each value is found by its brackets and given as bytes, as a line of JSON lines is: a reader parses
both alike, and refuses what is broken. (The libraries that parse JSON as a stream take gigabytes
for a hundred thousand brackets in brackets.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from shelfmark.core.formats.streams import CHUNK, Stream
from shelfmark.errors import ShelfmarkError

LONGEST = 1 << 24  # bytes of a value
# A text, which may lack its end, or a bracket: brackets in texts are no brackets.
TOKEN = re.compile(
    rb'"(?:[^"\\]++|\\.)*+(?P<text>")?|(?P<opening>[\[{])|(?P<closing>[\]}])', re.DOTALL
)
ARRAY = re.compile(rb"\s*\[\s*(?:\{|\]|$)")  # of objects, or cut by the end of its line
WITHIN = (b"{", b"[", b",", b":")  # ends of a line within a value


def is_spread(first: bytes, second: bytes) -> bool:
    """Whether a file holds JSON values in an array or indented, by its first lines.

    Args:
        first: the first line that is not blank.
        second: the next one, empty if there is none.
    """
    start = first.strip()
    if ARRAY.match(start):
        return True
    if is_json(start) or not start.endswith(WITHIN):
        return False
    return second.lstrip().startswith((b'"', b"}"))


def is_json(text: bytes) -> bool:
    """Whether bytes are one JSON value."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


class JsonValues:
    """Streams the values of JSON that is no JSON lines, each with its number.

    A line would say little: an array often has one line.

    Args:
        stream: UTF-8; one array of values or several, or values one after the other.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = b""
        self._line = 1  # of the place up to which lines are counted
        self._counted = 0
        self._depth = 0  # brackets that are open
        self._in_array = False
        self._comma = False  # whether one is due before the next value
        self._start = -1  # of the value, negative between values
        self._gap = 0  # end of the value or bracket before

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number of each value, from 1, and its bytes.

        Raises:
            ShelfmarkError: brackets do not match, the last value has no end, a value is too long,
                or something other than an object or an array stands between two.
        """
        searched, number = 0, 0
        while piece := self._stream.read(CHUNK):
            searched -= self._append(piece)
            for token in TOKEN.finditer(self._buffer, searched):
                if token.lastgroup is None:  # a text whose end is in the next piece
                    searched = token.start()
                    break
                if token.lastgroup == "opening":
                    self._open(token)
                elif token.lastgroup == "closing" and self._close(token):
                    number += 1
                    yield number, self._buffer[self._start : token.end()]
                    self._start, self._gap, self._comma = -1, token.end(), True
            else:
                searched = len(self._buffer)
        if self._depth:
            place = self._start if self._start >= 0 else self._gap
            raise self._error(place, "a bracket is opened and not closed, or the file is cut")
        self._check_gap(len(self._buffer), closing=True)

    def _append(self, piece: bytes) -> int:
        """Add a piece to the buffer, drop what is behind, and return how many bytes that is."""
        behind = self._start if self._start >= 0 else self._gap
        self._line_of(behind)
        self._buffer = self._buffer[behind:] + piece
        self._counted, self._gap = 0, max(self._gap - behind, 0)
        self._start = min(self._start, 0)
        if len(self._buffer) > LONGEST + CHUNK:
            raise self._error(0, f"a value has more than {LONGEST:,} bytes")
        return behind

    def _open(self, token: re.Match[bytes]) -> None:
        if self._start < 0:
            self._check_gap(token.start())
            if not self._depth and token[0] == b"[":
                self._in_array, self._comma, self._gap = True, False, token.end()
            else:
                self._start = token.start()
        self._depth += 1

    def _close(self, token: re.Match[bytes]) -> bool:
        """Close a bracket, and return whether it is the end of a value."""
        self._depth -= 1
        if self._depth < 0:
            raise self._error(token.start(), "a bracket is closed that was not opened")
        if self._start >= 0:
            return self._depth == self._in_array
        self._check_gap(token.start(), closing=True)
        self._in_array, self._comma, self._gap = False, False, token.end()
        return False

    def _check_gap(self, end: int, *, closing: bool = False) -> None:
        """Check that between the last value or bracket and a place nothing but a comma stands."""
        between = self._buffer[self._gap : end].strip()
        due = b"," if self._in_array and self._comma and not closing else b""
        if between != due:
            shown = between[:40].decode("utf-8", "replace") or "nothing"
            raise self._error(self._gap, f"{shown!r} stands where {due.decode() or 'an object'!r} "
                                         "should be")  # fmt: skip

    def _line_of(self, place: int) -> int:
        self._line += self._buffer.count(b"\n", self._counted, place)
        self._counted = place
        return self._line

    def _error(self, place: int, problem: str) -> ShelfmarkError:
        return ShelfmarkError(f"{self._stream.place}: line {self._line_of(place)}: {problem}")
