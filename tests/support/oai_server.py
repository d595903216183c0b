"""A repository of papers that speaks OAI-PMH 2.0 as arXiv's does, and its faults on request.

It follows the source of arXiv's own server: records in the order of day and identifier, a token
that holds the question and how many records of its first day to skip, an attribute `expires`.
"""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

NAMESPACES = (
    'xmlns="http://www.openarchives.org/OAI/2.0/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
DAY = "2026-11-20"  # today, for the repository

Fault = Callable[["Handler", bytes], None]


@dataclass(frozen=True)
class Held:
    """A paper of the repository: its identifier, day of last change, sets, and content."""

    id: str
    datestamp: str
    sets: tuple[str, ...] = ("cs:cs:AI",)
    categories: str = "cs.AI"
    title: str = ""
    abstract: str = ""
    versions: tuple[str, ...] = ("Mon, 02 Nov 2026 19:18:42 GMT",)
    deleted: bool = False
    raw: str = ""  # an abstract as it is sent, without escaping; \udcxx is the byte xx
    metadata: str = ""  # in place of the paper's own

    def xml(self) -> str:
        status = ' status="deleted"' if self.deleted else ""
        specs = "".join(f"<setSpec>{spec}</setSpec>" for spec in self.sets)
        header = (
            f"<header{status}><identifier>oai:arXiv.org:{self.id}</identifier>"
            f"<datestamp>{self.datestamp}</datestamp>{specs}</header>"
        )
        metadata = "" if self.deleted else self.metadata or self._metadata()
        return f"<record>{header}{metadata}</record>"

    def _metadata(self) -> str:
        versions = "".join(
            f'<version version="v{number}"><date>{date}</date><size>1kb</size></version>'
            for number, date in enumerate(self.versions, 1)
        )
        return (
            '<metadata><arXivRaw xmlns="http://arxiv.org/OAI/arXivRaw/">'
            f"<id>{self.id}</id><submitter>Ann Öther</submitter>{versions}"
            f"<title>{escape(self.title or f'Title {self.id}')}</title>"
            "<authors>A. N. Other</authors>"
            f"<categories>{self.categories}</categories><comments>12 pages</comments>"
            f"<abstract>  {self.raw or escape(self.abstract or f'On {self.id}, x < y & z.')}\n"
            "</abstract>"
            "</arXivRaw></metadata>"
        )


@dataclass
class Repository:
    """What is held, what goes wrong, and what was asked.

    Args:
        papers: all papers.
        size: records of a page.
        faults: for the number of a request, counted from 1, what happens in place of the answer.
        zipped: whether answers are packed where the other side takes it.
        life: seconds from an answer to the death of its token.
        dead: tokens that are refused.
        asked: the arguments of each request.
        agents: the user agent of each.
        now: the clock that gives the `times` of the requests.
    """

    papers: list[Held]
    size: int = 10
    faults: dict[int, Fault] = field(default_factory=dict)
    zipped: bool = False
    life: int = 3600
    dead: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    now: Callable[[], float] = time.time
    url: str = ""

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).netloc

    def answer(self, asked: dict[str, str]) -> bytes:
        token = asked.get("resumptionToken")
        if token is not None:
            if token in self.dead or set(asked) != {"verb", "resumptionToken"}:
                return error("badResumptionToken", "it has expired")
            asked = dict(urllib.parse.parse_qsl(urllib.parse.unquote(token)))
        if asked.get("verb") == "GetRecord":
            return self._get(asked["identifier"].removeprefix("oai:arXiv.org:"))
        if asked.get("verb") != "ListRecords" or asked.get("metadataPrefix") != "arXivRaw":
            return error("badArgument", "ListRecords of arXivRaw alone")
        return self._list(asked, int(asked.pop("skip", "0")))

    def _list(self, asked: dict[str, str], skip: int) -> bytes:
        first, spec = asked.get("from", ""), asked.get("set", "")
        if first < "2005-09-16" and first:
            return error("badArgument", "start date too early")
        result = [
            paper
            for paper in self.papers
            if paper.datestamp >= first
            and (not spec or any(f"{one}:".startswith(f"{spec}:") for one in paper.sets))
        ]
        page, rest = result[skip : skip + self.size], result[skip + self.size :]
        if not page:
            return error("noRecordsMatch", "nothing")
        token = self._token(asked, skip, page) if rest else ""
        records = "".join(paper.xml() for paper in page)
        return envelope(f"<ListRecords>{records}{token}</ListRecords>")

    def _get(self, ident: str) -> bytes:
        found = [paper.xml() for paper in self.papers if paper.id == ident]
        if not found:
            return error("idDoesNotExist", ident)
        return envelope(f"<GetRecord>{found[0]}</GetRecord>")

    def _token(self, asked: dict[str, str], skip: int, page: list[Held]) -> str:
        last = page[-1].datestamp
        if last == asked.get("from"):
            skip += len(page)
        else:
            skip = sum(paper.datestamp == last for paper in page)
        text = urllib.parse.quote(urllib.parse.urlencode({**asked, "from": last, "skip": skip}))
        dies = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOON + self.life))
        return f"<resumptionToken expires='{dies}'>{escape(text)}</resumptionToken>"


NOON = 1795176000.0  # 2026-11-20, twelve o'clock


def envelope(inside: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH {NAMESPACES}>'
        f"<responseDate>{DAY}T12:00:00Z</responseDate><request>here</request>{inside}</OAI-PMH>"
    ).encode("utf-8", "surrogateescape")


def error(code: str, text: str) -> bytes:
    return envelope(f"<error code='{code}'>{text}</error>")


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    repository: Repository

    def do_GET(self) -> None:
        held = self.repository
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        held.times.append(held.now())
        held.agents.append(self.headers["User-Agent"])
        held.asked.append(asked)
        body = held.answer(dict(asked))
        self.close_connection = True
        fault = held.faults.get(len(held.asked))
        if fault:
            fault(self, body)
        elif held.zipped and "gzip" in self.headers.get("Accept-Encoding", ""):
            self.send(gzip.compress(body), coding="gzip")
        else:
            self.send(body)

    def send(
        self, body: bytes, code: int = 200, coding: str = "", length: int | None = None, **more: str
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if coding:
            self.send_header("Content-Encoding", coding)
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


# What can go wrong.


def status(code: int, **headers: str) -> Fault:
    return lambda handler, body: handler.send(b"<p>busy</p>", code, **headers)


def later(seconds: int) -> Fault:
    """503 with a date that is so far from the server's own."""

    def answer(handler: Handler, body: bytes) -> None:
        when = formatdate(time.time() + seconds, usegmt=True)
        handler.send(b"", 503, Retry_After=when)

    return answer


def sent(body: bytes, coding: str = "") -> Fault:
    return lambda handler, _: handler.send(body, coding=coding)


def cut(handler: Handler, body: bytes) -> None:
    """The connection ends in the middle of the body."""
    handler.send(body[: len(body) // 2], length=len(body))


def unzipped_halfway(handler: Handler, body: bytes) -> None:
    packed = gzip.compress(body)
    handler.send(packed[: len(packed) // 2], coding="gzip")


def broken(handler: Handler, body: bytes) -> None:
    handler.send(body.replace(b"</ListRecords>", b"<ListRecords>"))


def hung_up(handler: Handler, body: bytes) -> None:
    """The connection ends before any answer."""
    handler.connection.close()


def redirected(to: str) -> Fault:
    return lambda handler, _: handler.send(b"", 302, Location=to + handler.path.partition("?")[2])


@contextlib.contextmanager
def running(repository: Repository) -> Iterator[Repository]:
    """Serve a repository on a free port while the block does."""
    handler = type("Mine", (Handler,), {"repository": repository})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        repository.url = f"http://127.0.0.1:{server.server_port}/oai"
        try:
            yield repository
        finally:
            server.shutdown()
            thread.join()
