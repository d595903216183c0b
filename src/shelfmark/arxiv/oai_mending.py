"""Responses that are no well-formed XML: their records, each to be parsed and mended by itself.

One character that XML forbids, in one record, must not cost the others. Only the text of a record
is mended: characters, references and signs that should have been escaped. No document type, and so
no entity of a response, is ever read; the named characters of HTML are those of the standard
library.
"""

from __future__ import annotations

import codecs
import html.entities
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

MOST_RECORDS = 20_000  # of a response; one of arXiv has 2,000
PREFIX = r"(?:[\w.-]+:)?"
RECORD = re.compile(rf"<({PREFIX})record(?=[\s/>])")
# What follows the last record, should its end be missing.
AFTER_RECORDS = re.compile(rf"<{PREFIX}resumptionToken\b|</{PREFIX}(?:ListRecords|GetRecord)\b")
ROOT = re.compile(rf"<({PREFIX}OAI-PMH)(?:\s[^<>]*)?>")
LIST = re.compile(rf"<({PREFIX}(?:ListRecords|GetRecord))(?:\s[^<>]*)?>")
END = re.compile(rf"</{PREFIX}OAI-PMH\s*>\s*\Z")
ENCODING = re.compile(rb"""\A<\?xml[^>]*?\sencoding=["']([\w.:-]{1,40})["']""")
IDENTIFIER = re.compile(rf"<{PREFIX}identifier>([^<]{{1,200}})<|<{PREFIX}id>([^<]{{1,200}})<")
# The elements of a record in the format arXivRaw; any other sign `<` is part of a text.
TAG = re.compile(
    rf"</?{PREFIX}(?:record|header|identifier|datestamp|setSpec|metadata|about|arXivRaw|id|submitter"
    r"|version|date|size|source_type|title|authors|categories|comments|proxy|report-no|acm-class"
    r"|msc-class|journal-ref|doi|license|abstract)(?=[\s/>])"
)
FORBIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
# A surrogate pair as two references, as some programs write a character beyond U+FFFF.
PAIR = re.compile(
    r"&#(?:[xX]([dD][89abAB][0-9a-fA-F]{2})|(5[56]\d{3}));"
    r"&#(?:[xX]([dD][c-fC-F][0-9a-fA-F]{2})|(5[67]\d{3}));"
)
CHARACTER = re.compile(f"[{FORBIDDEN}]")
SIGN = re.compile(
    r"&(?:#[xX](?P<hex>[0-9a-fA-F]{1,8});|#(?P<number>[0-9]{1,10});|(?P<name>[A-Za-z][A-Za-z0-9]{1,31});)?"
    rf"|(?P<end>\]\]>)|(?P<character>[{FORBIDDEN}])"
)
OF_XML = {"amp", "lt", "gt", "quot", "apos"}
UNREADABLE = "\ufffd"


@dataclass(frozen=True)
class Pieces:
    """The parts of a response.

    Args:
        envelope: what stands around the records.
        records: the text of each record.
        head: the start tags around a record, which declare its namespaces.
        tail: the end tags of these.
    """

    envelope: str
    records: list[str]
    head: str
    tail: str

    def document(self, record: str) -> str:
        """Return a record in the elements around it."""
        return f"{self.head}{record}{self.tail}"


@dataclass
class Mending:
    """The text of a mended record, and what was wrong with it."""

    text: str
    faults: list[str] = field(default_factory=list)


def split_records(body: bytes) -> Pieces | None:
    """Return the parts of a response.

    None if it is not whole, in an unknown encoding, or of far more records than a page has. Bytes
    that its encoding does not allow become lone surrogates.
    """
    text = _decode(body)
    if text is None or not END.search(text):
        return None
    root, around = ROOT.search(text), LIST.search(text)
    starts = [(match.start(), match[1]) for match in RECORD.finditer(text)]
    if not root or not around or len(starts) > MOST_RECORDS:
        return None
    outside, records, place = [], [], 0
    for number, (start, prefix) in enumerate(starts):
        limit = starts[number + 1][0] if number + 1 < len(starts) else len(text)
        end = _end_of_record(text, start, limit, prefix)
        outside.append(text[place:start])
        records.append(text[start:end])
        place = end
    envelope = "".join([*outside, text[place:]])
    return Pieces(envelope, records, root[0] + around[0], f"</{around[1]}></{root[1]}>")


def _decode(body: bytes) -> str | None:
    declared = ENCODING.match(body.removeprefix(codecs.BOM_UTF8))
    encoding = "utf-8-sig"
    if declared and declared[1].lower() not in (b"utf-8", b"utf8"):
        encoding = declared[1].decode()
    try:
        return body.decode(encoding, "surrogateescape")
    except (LookupError, UnicodeError):
        return None


def _end_of_record(text: str, start: int, limit: int, prefix: str) -> int:
    """Return where a record ends: past its end tag, or before what follows if it has none."""
    tag = f"</{prefix}record"
    last = text.rfind(tag, start, limit)
    closed = text.find(">", last, limit) + 1 if last >= 0 else 0
    if closed:
        return closed
    after = AFTER_RECORDS.search(text, start, limit)
    return after.start() if after else limit


def identifier_in(record: str) -> str | None:
    """Return the identifier as a record writes it, None if it has none."""
    match = IDENTIFIER.search(record)
    return (match[1] or match[2]).strip() if match else None


def mend_characters(text: str) -> Mending:
    """Return a text of XML with its forbidden characters, references and bare `&` replaced.

    Forbidden control characters become blanks. Bytes that could not be decoded, and references to
    no character, become U+FFFD.
    """
    mending = Mending(text)

    def mend(match: re.Match[str]) -> str:
        replaced, fault = _mend_sign(match)
        if fault and fault not in mending.faults:
            mending.faults.append(fault)
        return replaced

    parts = []
    for part, literal in _split_cdata(text):
        paired = part if literal else PAIR.sub(_join_pair, part)
        if paired != part:
            mending.faults.append("references to surrogates")
        parts.append((CHARACTER if literal else SIGN).sub(mend, paired))
    mending.text = "".join(parts)
    return mending


def mend_tags(text: str) -> Mending:
    """Return the text of a record in which only the elements of arXivRaw are tags."""
    parts = []
    for part, literal in _split_cdata(text):
        first, *rest = part.split("<") if not literal else [part]
        parts.append(first)
        for piece in rest:
            parts.append(("<" if TAG.match(f"<{piece[:200]}") else "&lt;") + piece)
    mended = "".join(parts)
    return Mending(mended, ["an unescaped <"] if mended != text else [])


def _split_cdata(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text, and whether each is a CDATA section."""
    place = 0
    while (start := text.find("<![CDATA[", place)) >= 0:
        end = text.find("]]>", start)
        if end < 0:
            break
        yield text[place:start], False
        yield text[start : end + 3], True
        place = end + 3
    yield text[place:], False


def _mend_sign(match: re.Match[str]) -> tuple[str, str | None]:
    """Return what replaces a reference or a character, and the fault if it is replaced."""
    parts = match.groupdict() if match.re is SIGN else {"character": match[0]}
    if character := parts["character"]:
        if "\ud800" <= character <= "\udfff":
            return UNREADABLE, "bytes that its encoding does not allow"
        return _replacement(ord(character)), f"the character U+{ord(character):04X}"
    if parts["end"]:
        return "]]&gt;", "an unescaped ]]>"
    if name := parts["name"]:
        if name in OF_XML:
            return match[0], None
        known = html.entities.html5.get(f"{name};")
        return (escape(known) if known else f"&amp;{name};"), f"the entity &{name};"
    digits = parts["hex"] or parts["number"]
    if not digits:
        return "&amp;", "an unescaped &"
    code = int(digits, 16 if parts["hex"] else 10)
    if code <= 0x10FFFF and not CHARACTER.match(chr(code)):
        return match[0], None
    return _replacement(code), f"the reference {match[0]}"


def _replacement(code: int) -> str:
    return " " if code < 0x20 else UNREADABLE


def _join_pair(match: re.Match[str]) -> str:
    high, low = (
        int(of_hex, 16) if of_hex else int(decimal)
        for of_hex, decimal in (match.group(1, 2), match.group(3, 4))
    )
    if not (0xD800 <= high < 0xDC00 <= low < 0xE000):
        return match[0]
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
