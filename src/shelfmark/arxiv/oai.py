"""An OAI-PMH repository over HTTP: one page a request, paced, with limited retries."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from loguru import logger

from shelfmark import __version__
from shelfmark.arxiv import oai_xml
from shelfmark.arxiv.oai_xml import FaultError, Page
from shelfmark.core import environment, files
from shelfmark.errors import ShelfmarkError

ARXIV = "https://oaipmh.arxiv.org/oai"
THANKS = "Thank you to arXiv for use of its open access interoperability."
INTERVAL = 3.0  # seconds between two requests, arXiv's rule
CHUNK = 1 << 16  # bytes
MAX_BYTES = 256 << 20  # of a response, decompressed; a page of arXiv has about ten million
IDLE_TIMEOUT = 60.0  # seconds without a byte
RESPONSE_TIMEOUT = 900.0  # seconds
MAX_BACKOFF = 300.0  # seconds between two tries
LONGEST_WAIT = 3600.0  # seconds, whatever the host asks for or the clock shows
# Errors of the network or the server that may not recur.
TRANSIENT = (OSError, http.client.HTTPException, EOFError, zlib.error)
RETRIED_STATUSES = {408, 425, 429}  # below 500, yet temporary


@dataclass(frozen=True)
class Clock:
    """The time in seconds since 1970, and how to wait; tests replace it."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()


@dataclass(frozen=True)
class Pace:
    """Waits before each request for the interval, or longer where the host asks for it.

    The time of the next request is the modification time of a file in the user's cache folder, so
    the interval holds between processes and after restarts.

    Args:
        gate: the file whose modification time is that of the next request.
        interval: seconds between two requests.
        clock: the time.
    """

    gate: Path
    interval: float
    clock: Clock = SYSTEM_CLOCK

    def wait(self) -> None:
        """Wait until a request is allowed, and record it as made now."""
        # A clock that was set back must not cause a wait of a day.
        left = min(self.gate.stat().st_mtime - self.clock.now(), LONGEST_WAIT)
        if left > 0:
            self.clock.sleep(left)
        self.delay(self.interval)

    def delay(self, seconds: float) -> None:
        """Delay the next request by so many seconds from now, an hour at most."""
        moment = self.clock.now() + min(seconds, LONGEST_WAIT)
        os.utime(self.gate, (moment, moment))


@dataclass(frozen=True)
class Repository:
    """An OAI-PMH repository, and how to request from it.

    Args:
        url: the base URL.
        contact: an e-mail address or a page of the user, sent with each request.
        interval: seconds between two requests.
        max_faults: how many consecutive faults are retried.
        max_bytes: largest response, decompressed.
        idle_timeout: seconds without a byte.
    """

    url: str = ARXIV
    contact: str = ""
    interval: float = INTERVAL
    max_faults: int = 8
    max_bytes: int = MAX_BYTES
    idle_timeout: float = IDLE_TIMEOUT

    def check(self) -> None:
        """Check the URL and the values.

        Raises:
            ShelfmarkError: the URL is not http or https, or a value is out of range.
        """
        with contextlib.suppress(ValueError):
            parts = urllib.parse.urlsplit(self.url)
            valid = parts.scheme in {"http", "https"} and parts.hostname and not parts.query
            if valid and re.fullmatch(r"[!-~]+", self.url):
                contact = re.fullmatch(r"[^\s()<>]{0,200}", self.contact)
                if not contact:
                    raise ShelfmarkError("--contact: give an e-mail address or the URL of a page")
                if self.interval < 0 or self.max_faults < 1:
                    raise ShelfmarkError("--interval is 0 or more seconds")
                return
        raise ShelfmarkError(f"--url: {self.url!r:.80} is not http(s)://host/path")

    @property
    def host(self) -> str:
        """The host, with its port where the URL names one."""
        return urllib.parse.urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def user_agent(self) -> str:
        """The User-Agent header."""
        kind = "mailto:" if "@" in self.contact and "://" not in self.contact else "+"
        return f"shelfmark/{__version__}" + (f" ({kind}{self.contact})" if self.contact else "")


class Client:
    """Requests pages of a repository, one at a time.

    Args:
        repository: the repository.
        pace: waits before each request.
    """

    def __init__(self, repository: Repository, pace: Pace) -> None:
        self._repository = repository
        self._pace = pace
        self._opener = urllib.request.build_opener(_Redirects(pace))
        self._faults = 0  # in a row
        self._responded = False

    def request_page(self, **arguments: str) -> Page:
        """Request a page until a valid one arrives; it may hold an error of the protocol.

        Raises:
            ShelfmarkError: too many consecutive faults, or an error that a retry cannot fix.
        """
        while True:
            try:
                page = self._request({"verb": "ListRecords", **arguments})
            except urllib.error.HTTPError as error:
                with error:
                    self._handle_status(error)
            except TRANSIENT as error:
                # No connection was ever made: this is no fault of the server.
                if not self._responded and isinstance(error, urllib.error.URLError):
                    raise ShelfmarkError(
                        f"{self._repository.host} cannot be reached ({_reason(error)}): "
                        "harvesting needs the network"
                    ) from None
                self.record_fault(_reason(error))
            except FaultError as error:
                self.record_fault(str(error))
            else:
                return page

    def record_fault(self, reason: str, wait: float | None = None) -> None:
        """Count a fault and delay the next request, at least as long as the server asks for.

        Raises:
            ShelfmarkError: too many consecutive faults.
        """
        self._faults += 1
        backoff = min(self._repository.interval * 2 ** (self._faults - 1), MAX_BACKOFF)
        wait = backoff if wait is None else min(max(wait, self._repository.interval), LONGEST_WAIT)
        self._pace.delay(wait)  # holds for the next run too
        if self._faults > self._repository.max_faults:
            raise ShelfmarkError(
                f"{self._repository.host} failed {self._faults} times in a row, most recently: "
                f"{reason}"
            )
        logger.warning("{}; trying again in {:.0f} s", reason, wait)

    def reset_faults(self) -> None:
        """Reset the count of faults, once new records have arrived."""
        self._faults = 0

    def _handle_status(self, error: urllib.error.HTTPError) -> None:
        self._responded = True
        if error.code < 500 and error.code not in RETRIED_STATUSES:
            raise ShelfmarkError(
                f"{self._repository.url} answers {error.code} {error.reason}: a retry would not "
                "help; check --url"
            ) from None
        requested = parse_retry_after(error.headers.get("Retry-After"), error.headers.get("Date"))
        self.record_fault(f"{self._repository.host} answers {error.code} {error.reason}", requested)

    def _request(self, arguments: dict[str, str]) -> Page:
        request = urllib.request.Request(  # noqa: S310 - `check` has checked the scheme
            f"{self._repository.url}?{urllib.parse.urlencode(arguments)}",
            headers={
                "User-Agent": self._repository.user_agent,
                "Accept": "application/xml, text/xml",
                "Accept-Encoding": "gzip",
            },
        )
        self._pace.wait()
        with self._opener.open(request, timeout=self._repository.idle_timeout) as response:
            self._responded = True
            return oai_xml.parse_page(self._body(response))

    def _body(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """Yield a response, decompressed, within the limits of size and time."""
        coding = (response.headers.get("Content-Encoding") or "identity").lower()
        if coding not in {"gzip", "x-gzip", "identity"}:
            raise FaultError(f"the answer is encoded as {coding!r:.40}, which was not requested")
        compressed = coding != "identity"
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=response) if compressed else response)
        size, last_moment = 0, time.monotonic() + RESPONSE_TIMEOUT
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > self._repository.max_bytes:
                raise FaultError(f"the answer is longer than {self._repository.max_bytes:,} bytes")
            if time.monotonic() > last_moment:
                raise FaultError(f"the answer took more than {RESPONSE_TIMEOUT:.0f} s")
            yield chunk
        # `read` does not report a truncated response.
        if response.length:
            raise FaultError(f"the answer was cut short by {response.length:,} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows at most five redirections, each at the pace of any other request."""

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


def parse_retry_after(header: str | None, date: str | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, None if it is missing or invalid.

    Args:
        header: seconds, or an HTTP date.
        date: the Date header, from which the seconds to an HTTP date are counted.
    """
    if header is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header, re.ASCII):
        return float(header)
    when, now = _parse_http_date(header), _parse_http_date(date or "") or datetime.now(UTC)
    return max((when - now).total_seconds(), 0.0) if when else None


def _parse_http_date(text: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None) or error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())[:200]


@contextlib.contextmanager
def hold_connection(host: str, interval: float, clock: Clock = SYSTEM_CLOCK) -> Iterator[Pace]:
    """Hold the one connection to a host that arXiv allows a user.

    Raises:
        ShelfmarkError: another process holds it, or the cache folder cannot be written.
    """
    gate = _cache() / ("asked-" + re.sub(r"[^\w.-]", "_", host))
    with files.report_write_errors(gate):
        gate.parent.mkdir(parents=True, exist_ok=True)
        new = not gate.exists()
        held = files.try_lock(gate)
    if held is None:
        raise ShelfmarkError(
            f"another harvest from {host} is running: arXiv allows one connection at a time"
        )
    with held:
        if new:
            os.utime(gate, (0, 0))
        yield Pace(gate, interval, clock)


def _cache() -> Path:
    try:
        return Path(environment.read("XDG_CACHE_HOME") or Path.home() / ".cache") / "shelfmark"
    except RuntimeError as error:
        raise ShelfmarkError("there is no home folder: set XDG_CACHE_HOME to a folder") from error
