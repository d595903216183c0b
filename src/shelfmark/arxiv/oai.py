"""An OAI-PMH repository over HTTP: one page a request, faults waited out, none without a limit."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, cast

from loguru import logger

from shelfmark import __version__
from shelfmark.arxiv import oai_xml as oai_page
from shelfmark.arxiv.oai_xml import FaultError, Page
from shelfmark.arxiv.pace import LONGEST, Pace
from shelfmark.errors import ShelfmarkError

ARXIV = "https://oaipmh.arxiv.org/oai"
THANKS = "Thank you to arXiv for use of its open access interoperability."
INTERVAL = 3.0  # seconds between two requests, arXiv's rule
CHUNK = 1 << 16  # bytes
LARGEST = 256 << 20  # bytes of an answer, unpacked; a page of arXiv has about ten million
SILENCE = 60.0  # seconds that a server may say nothing
LONGEST_ANSWER = 900.0  # seconds
SLOWEST = 300.0  # longest of our own waits between two tries, seconds
# What the network and the other side can do wrong once and right the next time.
PASSING = (OSError, http.client.HTTPException, EOFError, zlib.error)
AGAIN = {408, 425, 429}  # statuses below 500 that do not mean never


@dataclass(frozen=True)
class Repository:
    """Where papers are fetched, and how patiently.

    Args:
        url: the base URL.
        contact: an e-mail address or a page, by which the other side can reach who asks.
        interval: seconds between two requests.
        faults: how many in a row are waited out.
        largest: bytes of an answer, unpacked.
        silence: seconds that a server may say nothing.
    """

    url: str = ARXIV
    contact: str = ""
    interval: float = INTERVAL
    faults: int = 8
    largest: int = LARGEST
    silence: float = SILENCE

    def check(self) -> None:
        """See that a request can be made of it.

        Raises:
            ShelfmarkError: the URL is none of the web, or a value is out of its range.
        """
        with contextlib.suppress(ValueError):
            parts = urllib.parse.urlsplit(self.url)
            sound = parts.scheme in {"http", "https"} and parts.hostname and not parts.query
            if sound and re.fullmatch(r"[!-~]+", self.url):
                break_free = re.fullmatch(r"[^\s()<>]{0,200}", self.contact)
                if not break_free:
                    raise ShelfmarkError("--contact: give an e-mail address or the URL of a page")
                if self.interval < 0 or self.faults < 1:
                    raise ShelfmarkError("--interval is 0 or more seconds")
                return
        raise ShelfmarkError(f"--url: {self.url!r:.80} is no http(s)://host/path")

    @property
    def host(self) -> str:
        """The host, with its port where one is named."""
        return urllib.parse.urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def agent(self) -> str:
        """What names us to the other side."""
        kind = "mailto:" if "@" in self.contact and "://" not in self.contact else "+"
        return f"shelfmark/{__version__}" + (f" ({kind}{self.contact})" if self.contact else "")


class Client:
    """Asks a repository, one request at a time.

    Args:
        repository: whom.
        pace: waits before each request.
    """

    def __init__(self, repository: Repository, pace: Pace) -> None:
        self._repository = repository
        self._pace = pace
        self._opener = urllib.request.build_opener(_Redirects(pace))
        self._faults = 0  # in a row
        self._reached = False

    def page(self, **arguments: str) -> Page:
        """Ask until a sound answer comes, and return it; it may be an error of the protocol.

        Raises:
            ShelfmarkError: too many faults in a row, or an answer that asking again cannot mend.
        """
        while True:
            try:
                page = self._ask({"verb": "ListRecords", **arguments})
            except urllib.error.HTTPError as error:
                with error:
                    self._refused(error)
            except PASSING as error:
                # No connection was made, and none before it: this is not the other side's fault.
                if not self._reached and isinstance(error, urllib.error.URLError):
                    raise ShelfmarkError(
                        f"{self._repository.host} cannot be reached ({_reason(error)}): "
                        "harvesting needs the network"
                    ) from None
                self.fault(_reason(error))
            except FaultError as error:
                self.fault(str(error))
            else:
                return page

    def fault(self, reason: str, wait: float | None = None) -> None:
        """Count a fault and make the next request later, by what the other side asks for or more.

        Raises:
            ShelfmarkError: it was one too many.
        """
        self._faults += 1
        own = min(self._repository.interval * 2 ** (self._faults - 1), SLOWEST)
        wait = own if wait is None else min(max(wait, self._repository.interval), LONGEST)
        self._pace.not_before(wait)  # also for a run after this one
        if self._faults > self._repository.faults:
            raise ShelfmarkError(
                f"{self._repository.host} failed {self._faults} times in a row, the last time so: "
                f"{reason}"
            )
        logger.warning("{}; asking again in {:.0f} s", reason, wait)

    def progress(self) -> None:
        """Forget the faults: something new has come since."""
        self._faults = 0

    def _refused(self, error: urllib.error.HTTPError) -> None:
        self._reached = True
        if error.code < 500 and error.code not in AGAIN:
            raise ShelfmarkError(
                f"{self._repository.url} answers {error.code} {error.reason}: asking again would "
                "not help; see --url"
            ) from None
        asked = retry_after(error.headers.get("Retry-After"), error.headers.get("Date"))
        self.fault(f"{self._repository.host} answers {error.code} {error.reason}", asked)

    def _ask(self, arguments: dict[str, str]) -> Page:
        request = urllib.request.Request(  # noqa: S310 - `check` has seen the scheme
            f"{self._repository.url}?{urllib.parse.urlencode(arguments)}",
            headers={
                "User-Agent": self._repository.agent,
                "Accept": "application/xml, text/xml",
                "Accept-Encoding": "gzip",
            },
        )
        self._pace.wait()
        with self._opener.open(request, timeout=self._repository.silence) as response:
            self._reached = True
            return oai_page.read(self._body(response))

    def _body(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """Yield an answer, unpacked, within the limits of size and time."""
        coding = (response.headers.get("Content-Encoding") or "identity").lower()
        if coding not in {"gzip", "x-gzip", "identity"}:
            raise FaultError(f"the answer is packed as {coding!r:.40}, which was not asked for")
        packed = coding != "identity"
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=response) if packed else response)
        size, last_moment = 0, time.monotonic() + LONGEST_ANSWER
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > self._repository.largest:
                raise FaultError(f"the answer is longer than {self._repository.largest:,} bytes")
            if time.monotonic() > last_moment:
                raise FaultError(f"the answer took more than {LONGEST_ANSWER:.0f} s")
            yield chunk
        # Cut short, `read` says nothing of it.
        if response.length:
            raise FaultError(f"the answer was cut short by {response.length:,} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirections over the web, each a request like any other."""

    max_redirections = 5

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = (urllib.parse.urlsplit(url).scheme for url in (req.full_url, newurl))
        if after not in {"https", before}:
            raise ShelfmarkError(f"{req.host} redirects to {newurl!r:.80}: not followed")
        self._pace.wait()
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def retry_after(header: str | None, date: str | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, None where it asks for nothing.

    Args:
        header: seconds, or a date of HTTP.
        date: the server's own Date, from which a date is counted.
    """
    if header is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header, re.ASCII):
        return float(header)
    when, now = _moment(header), _moment(date or "") or datetime.now(UTC)
    return max((when - now).total_seconds(), 0.0) if when else None


def _moment(text: str) -> datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None) or error
    said = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(said).split())[:200]
