"""Text of any usual encoding as UTF-8, whose lines end in a line feed alone."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from loguru import logger

from shelfmark.core.formats import signatures
from shelfmark.core.formats.streams import Stream
from shelfmark.core.formats.unpack import Content
from shelfmark.errors import ShelfmarkError

BOM = codecs.BOM_UTF8
MARKS = (BOM, b"\x1e")  # the second of JSON text sequences, RFC 7464
# The four bytes of UTF-32 begin with the two of UTF-16.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Without a mark: the zero bytes of letters of ASCII.
UNMARKED = {
    "utf-32-le": rb"(?:[^\0]\0\0\0){2,}",
    "utf-32-be": rb"(?:\0\0\0[^\0]){2,}",
    "utf-16-le": rb"(?:[^\0]\0){4,}",
    "utf-16-be": rb"(?:\0[^\0]){4,}",
}
WESTERN = "cp1252"  # Windows' extension of Latin-1
MOST_WESTERN = 0.2  # share of letters that are not ASCII: in more, the encoding is another one
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
MOST_CONTROLS = 0.02  # share of the bytes of a text; of other data it is an eighth


def open_text(content: Content, *, waiting: bool = False) -> Stream:
    """Return a text as UTF-8 without a byte order mark, its lines ending in a line feed.

    Args:
        content: the content, of which the first bytes tell the encoding.
        waiting: whether the head holds what has arrived, and more is not waited for.

    Raises:
        ShelfmarkError: it is no text, no text with papers, or its encoding is unknown.
    """
    head = content.stream.head
    if name := signatures.name_unreadable(head):
        raise _seems(content, name)
    encoding, mark = find_encoding(content)
    text = Stream(_Utf8(content.stream, encoding, mark), content.place, sized=not waiting)
    if name := signatures.name_unreadable_text(text.head):
        raise _seems(content, name)
    return text


def _seems(content: Content, name: str) -> ShelfmarkError:
    return ShelfmarkError(
        f"{content.place}: seems to be {name}; text lines, JSON, CSV, Parquet or Arrow is needed"
    )


def find_encoding(content: Content) -> tuple[str, int]:
    """Return the encoding of a text, and the bytes of its byte order mark.

    Raises:
        ShelfmarkError: it is no text, or its encoding is unknown.
    """
    head = content.stream.head
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding, len(mark)
    for encoding, pattern in UNMARKED.items():
        if re.match(pattern, head):
            return encoding, 0
    if len(CONTROLS.findall(head)) > MOST_CONTROLS * len(head) + 1:
        raise _seems(content, "binary data of an unknown kind")
    return ("utf-8" if _is_utf8(head) else _western(content)), 0


def _is_utf8(head: bytes) -> bool:
    """Whether bytes are UTF-8; also where few signs are damaged, whose lines are refused alone."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)  # the last sign may be cut
    except UnicodeDecodeError:
        text = head.decode("utf-8", "replace")
        damaged = text.count("\ufffd")
        return sum(sign > "\x7f" for sign in text) - damaged > damaged
    return True


def _western(content: Content) -> str:
    head = content.stream.head
    try:
        text = head.decode(WESTERN)
    except UnicodeDecodeError:
        text = ""
    if not text or sum(sign > "\x7f" for sign in text) > MOST_WESTERN * len(text):
        raise ShelfmarkError(
            f"{content.place}: is neither UTF-8, UTF-16 nor Latin-1; convert it to UTF-8 with iconv"
        )
    logger.warning("{}: not UTF-8, read as Windows-1252 (Latin-1)", content.place)
    return WESTERN


class _Utf8:
    """The bytes of a stream as UTF-8 with plain line ends.

    Args:
        stream: the bytes.
        encoding: their encoding.
        mark: bytes at the beginning to leave out.
    """

    def __init__(self, stream: Stream, encoding: str, mark: int) -> None:
        self._stream = stream
        self._transcode = _transcoder(encoding, stream.place)
        stream.read(mark)
        self._held = b""  # a carriage return at the end of a piece, whose line feed may follow

    def read(self, size: int) -> bytes:
        """Return the next bytes, none at the end."""
        while True:
            piece = self._stream.read(size) or b""
            text = self._held + self._transcode(piece, not piece)
            self._held = b""
            if b"\r" in text:
                text = self._plain_line_ends(text, last=not piece)
            if not piece:
                return text
            if text:
                return text

    def _plain_line_ends(self, text: bytes, *, last: bool) -> bytes:
        if text.endswith(b"\r") and not last:
            text, self._held = text[:-1], b"\r"
        return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _transcoder(encoding: str, place: str) -> Callable[[bytes, bool], bytes]:
    if encoding == "utf-8":
        return lambda piece, final: piece
    decoder = codecs.getincrementaldecoder(encoding)()

    def transcode(piece: bytes, final: bool) -> bytes:
        try:
            return decoder.decode(piece, final).encode()
        except UnicodeError as error:
            raise ShelfmarkError(f"{place}: begins as {encoding.upper()}, and goes on as no text "
                                 f"of it ({error})") from error  # fmt: skip

    return transcode


def is_blank(line: bytes) -> bool:
    """Whether a line holds no text: blanks, or the sign that DOS wrote at the end of a text."""
    return not line.strip(b" \t\r\n\f\v\x1a")


def without_mark(line: bytes) -> bytes:
    """Return a line without the byte order marks and the record separators before it.

    A file that is joined of several has one at the beginning of each.
    """
    while line.startswith(MARKS):
        line = line[len(BOM) :] if line.startswith(BOM) else line[1:]
    return line
