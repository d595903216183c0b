"""The XML of arXiv's OAI-PMH responses: records in the layout of the snapshot, and a token.

Protocol: https://www.openarchives.org/OAI/openarchivesprotocol.html; the fields of a record:
https://info.arxiv.org/help/oa/index.html, format arXivRaw, the one with the dates of all versions.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from shelfmark.arxiv import dates, oai_mending
from shelfmark.arxiv.identifiers import parse_identifier
from shelfmark.arxiv.papers import BadRecordError, parse_categories, split_categories

OAI = "{http://www.openarchives.org/OAI/2.0/}"
RAW = "{http://arxiv.org/OAI/arXivRaw/}"
# In the order of the snapshot; the format has no parsed authors.
FIELDS = ("submitter", "authors", "title", "comments", "journal-ref", "doi", "report-no")
PARTS = 8  # a response is parsed in parts of an eighth of what came before
MAX_DEPTH = 50  # of nested elements; a response of arXiv has 6


class FaultError(Exception):
    """A response that a retry may fix; its text is the reason."""


@dataclass(frozen=True, slots=True)
class Record:
    """The current record of a paper in the repository.

    Args:
        id: arXiv's identifier.
        datestamp: day of the last change, `2026-11-01`.
        fields: the paper in the layout of the snapshot, None if it was deleted.
    """

    id: str
    datestamp: str
    fields: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class FaultyRecord:
    """A record that was mended or left out: its identifier, None if it has none, and the reason."""

    id: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.id}: {self.reason}" if self.id else self.reason


@dataclass
class Page:
    """One response.

    Args:
        day: the day by the repository's clock, `2026-11-01`.
        records: in the order of the response.
        left_out: the records that are no papers, or cannot be parsed.
        mended: the records that were not well-formed XML, and are among `records` once mended.
        token: the resumption token of the next page, None at the end of the list.
        token_seconds: seconds until the token expires, None if unknown.
        error: code and text of a protocol error, None if there is no error.
    """

    day: str = ""
    records: list[Record] = field(default_factory=list)
    left_out: list[FaultyRecord] = field(default_factory=list)
    mended: list[FaultyRecord] = field(default_factory=list)
    token: str | None = None
    token_seconds: float | None = None
    error: tuple[str, str] | None = None


class _Tree(ET.TreeBuilder):
    """Adds each record to the page and frees its elements; refuses entity declarations."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._depth = 0

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        # Without a document type there are no entities but the five of XML.
        raise FaultError("the answer declares a document type, which OAI-PMH never does")

    def start(self, tag: str, attributes: dict[str, str]) -> ET.Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FaultError(f"the answer is nested more than {MAX_DEPTH} deep")
        return super().start(tag, attributes)

    def end(self, tag: str) -> ET.Element:
        self._depth -= 1
        element = super().end(tag)
        if tag == f"{OAI}record":
            ident = None
            try:
                header = _header(element)
                # oai:arXiv.org:0704.0001
                ident = parse_identifier(_text(header, f"{OAI}identifier"))
                self._page.records.append(_record(element, header, ident))
            except BadRecordError as error:
                self._page.left_out.append(FaultyRecord(ident, str(error)))
            element.clear()
        return element


def parse_page(chunks: Iterable[bytes]) -> Page:
    """Parse a response in chunks.

    A whole response that is no well-formed XML is parsed record by record: each that is not
    well-formed is mended or left out.

    Raises:
        FaultError: it is not OAI-PMH, or not well-formed XML beyond its records.
    """
    arriving, received = iter(chunks), list[bytes]()
    page = Page()
    try:
        root = _parse(_growing(_keep(arriving, received)), page)
    except (ET.ParseError, ValueError, LookupError) as error:
        received += arriving  # an error of the transfer is raised here
        page = Page()
        root = _parse_by_record(b"".join(received), page, error)
    if root.tag != f"{OAI}OAI-PMH":
        raise FaultError(f"the answer is not OAI-PMH but {root.tag!r:.60}")
    now = (root.findtext(f"{OAI}responseDate") or "").strip()
    page.day = _day(now)
    if (refusal := root.find(f"{OAI}error")) is not None:
        page.error = (refusal.get("code", ""), " ".join((refusal.text or "").split())[:200])
    elif (element := root.find(f"{OAI}ListRecords")) is not None:
        _read_token(page, element.find(f"{OAI}resumptionToken"), now)
    elif root.find(f"{OAI}GetRecord") is None:
        raise FaultError("the answer has neither ListRecords nor an error")
    return page


def _parse(parts: Iterable[bytes | str], page: Page) -> ET.Element:
    """Parse well-formed XML, and return its root without the records, which are in the page."""
    parser = ET.XMLParser(target=_Tree(page))  # noqa: S314 - _Tree refuses entities
    for part in parts:
        parser.feed(part)
    root: ET.Element = parser.close()
    return root


def _keep(chunks: Iterable[bytes], received: list[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        received.append(chunk)
        yield chunk


def _parse_by_record(body: bytes, page: Page, fault: Exception) -> ET.Element:
    """Parse each record of a response by itself, and return the root without them.

    Raises:
        FaultError: what stands around the records is not well-formed either.
    """
    pieces = oai_mending.split_records(body)
    try:
        if pieces is None:
            raise fault
        root = _parse([oai_mending.mend_characters(pieces.envelope).text], Page())
    except (ET.ParseError, ValueError, LookupError) as error:
        raise FaultError(f"the answer is broken XML ({error})") from error
    for record in pieces.records:
        _add_record(page, pieces, record)
    return root


def _add_record(page: Page, pieces: oai_mending.Pieces, record: str) -> None:
    """Parse a record as it is, else mended, else add it to those that are left out."""
    characters = oai_mending.mend_characters(record)
    tags = oai_mending.mend_tags(characters.text)
    tries = [("", record), (characters.faults, characters.text),
             (characters.faults + tags.faults, tags.text)]  # fmt: skip
    error: Exception | None = None
    for faults, text in tries:
        alone = Page()
        try:
            _parse([pieces.document(text)], alone)
        except (ET.ParseError, ValueError) as failure:
            error = error or failure
            continue
        page.records += alone.records
        page.left_out += alone.left_out
        if faults:
            reason = f"not well-formed XML: {', '.join(faults)}"
            page.mended += [FaultyRecord(one.id, reason) for one in alone.records]
        return
    try:
        ident = parse_identifier(oai_mending.identifier_in(record) or "")
    except BadRecordError:
        ident = None
    page.left_out.append(FaultyRecord(ident, f"not well-formed XML ({error})"))


def _growing(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks joined to parts that grow with what came before.

    Expat before 2.6 reads a tag or a text that has not ended again with each part: as many parts as
    chunks would take the square of its length. Source: CVE-2023-52425.
    """
    waiting: list[bytes] = []
    size = before = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size * PARTS >= before:
            yield b"".join(waiting)
            waiting, size, before = [], 0, before + size
    yield b"".join(waiting)


def _read_token(page: Page, element: ET.Element | None, now: str) -> None:
    if element is None or not (element.text or "").strip():
        return
    page.token = (element.text or "").strip()
    # The name in the standard, and the one that arXiv's server uses.
    expires_at = element.get("expirationDate") or element.get("expires") or ""
    try:
        # By the repository's clock: ours may be wrong.
        seconds = (datetime.fromisoformat(expires_at) - datetime.fromisoformat(now)).total_seconds()
    except (ValueError, TypeError):
        return
    page.token_seconds = seconds if seconds > 0 else None


def _header(element: ET.Element) -> ET.Element:
    header = element.find(f"{OAI}header")
    if header is None:
        raise BadRecordError("a record without a header")
    return header


def _record(element: ET.Element, header: ET.Element, ident: str) -> Record:
    changed = _text(header, f"{OAI}datestamp")
    try:
        changed = _day(changed)
    except FaultError:
        raise BadRecordError(f"the datestamp {changed!r:.40}") from None
    if header.get("status") == "deleted":
        return Record(ident, changed, None)
    raw = element.find(f"{OAI}metadata/{RAW}arXivRaw")
    if raw is None:
        raise BadRecordError("no metadata in the format arXivRaw")
    return Record(ident, changed, _fields(raw, ident, changed))


def _fields(raw: ET.Element, ident: str, changed: str) -> dict[str, Any]:
    """Return a paper in the layout of the snapshot; texts keep their line breaks."""
    fields = {name: _content(raw, name) for name in (*FIELDS, "license", "abstract")}
    names = split_categories(_text(raw, f"{RAW}categories"))
    parse_categories(" ".join(names))
    if not (fields["title"] or "").strip() or not (fields["abstract"] or "").strip():
        raise BadRecordError("no title or no abstract")
    return {
        "id": ident,
        **{name: fields[name] for name in FIELDS},
        "categories": " ".join(names),
        "license": fields["license"],
        "abstract": fields["abstract"],
        "versions": _versions(raw),
        "update_date": changed,
    }


def _versions(raw: ET.Element) -> list[dict[str, str]]:
    """Return all versions, from the first, whose date is the day of submission."""
    versions = []
    for version in raw.findall(f"{RAW}version"):
        name = version.get("version", "")
        if not re.fullmatch(r"v\d{1,4}", name, re.ASCII):
            raise BadRecordError(f"version {name!r:.20}")
        # The server writes Sat, 07 Apr 2007 …, the snapshot Sat, 7 Apr 2007 …
        created = re.sub(r"(?<=, )0", "", _text(version, f"{RAW}date"))
        versions.append({"version": name, "created": created})
    if not versions:
        raise BadRecordError("no version")
    versions.sort(key=lambda version: int(version["version"][1:]))
    try:
        dates.parse_day(versions[0]["created"])
    except ValueError as error:
        raise BadRecordError(f"the date of the first version is {error}") from None
    return versions


def _content(raw: ET.Element, name: str) -> str | None:
    """Return the text of a field, with that of elements such as `sub` within it."""
    element = raw.find(f"{RAW}{name}")
    return None if element is None else "".join(element.itertext())


def _text(element: ET.Element, path: str) -> str:
    text = (element.findtext(path) or "").strip()
    if not text:
        raise BadRecordError(f"no {path.rpartition('}')[2]}")
    return text


def _day(moment: str) -> str:
    """Return the day of a datestamp with or without a time."""
    try:
        return date.fromisoformat(moment[:10]).isoformat()
    except ValueError:
        raise FaultError(f"the answer has a datestamp {moment!r:.40}") from None
