"""HTTP/1.1 with the limits of a connection: h11, and a shorter way for plain requests."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import sys
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import h11
from loguru import logger
from uvicorn.protocols.http.h11_impl import H11Protocol

from shelfmark.service.protocol.connection import LimitedConnection
from shelfmark.service.protocol.cycle import PlainCycle
from shelfmark.service.protocol.plain import PlainHead, read_head
from shelfmark.service.responses import problem_response

ORIGIN = re.compile(rb"^origin:[ \t]*([\x21-\x7e]+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
NO_REQUEST = {
    400: "This is not a valid request of HTTP/1.1.",
    431: "The headers of the request are too large.",
    501: "The service knows no Transfer-Encoding but chunked.",
}


class H11WithProblems(H11Protocol):
    """HTTP/1.1 by h11; what is no request is answered by a problem."""

    _limits: Any

    def data_received(self, data: bytes) -> None:
        """Parse the data; what is no request is answered while its headers are at hand."""
        unparsed, _ = self.conn.trailing_data  # of headers that come in several pieces
        self._received = unparsed + data
        super().data_received(data)
        self._received = b""

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: the request is answered, and what uvicorn advises would not help."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request by a problem, and close the connection."""
        error = sys.exception()
        status = getattr(error, "error_status_hint", 400)
        origin = self._origin()
        response = problem_response(status, NO_REQUEST.get(status, NO_REQUEST[400]))
        request_id = secrets.token_hex(16)
        logger.info("{} other none {}", request_id, status)
        headers = [*response.raw_headers, *self._limits.headers(origin),
                   (b"x-request-id", request_id.encode()), (b"connection", b"close")]  # fmt: skip
        reason = HTTPStatus(status).phrase.encode()
        head = h11.Response(status_code=status, headers=headers, reason=reason)
        # What has been answered before the fault, in a body that goes on, keeps its answer.
        with contextlib.suppress(h11.LocalProtocolError):
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _origin(self) -> str:
        """Return the origin of the page that has sent what is no request, empty if it names none.

        The fault may stand in the body of a request whose headers were valid.
        """
        in_body = self.cycle is not None and not self.cycle.response_complete
        pairs = self.cycle.scope["headers"] if in_body else []
        named = [value for name, value in pairs if name == b"origin"]
        origins = [*named, *ORIGIN.findall(self._received)]
        return origins[-1].decode("latin-1") if origins else ""


class PlainOrH11(H11WithProblems):
    """Reads plain requests itself, in a fifth of h11's time, and leaves all others to h11.

    h11 is asked where a request begins: it reads this request to its end, and whatever follows
    before its response is complete.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._plain: PlainCycle | None = None  # in progress
        self._with_h11 = False  # whether h11 reads a request, or has part of one
        self._waiting = b""  # what follows a plain request that is in progress
        self._idle_since = 0.0

    def data_received(self, data: bytes) -> None:
        """Read what has arrived."""
        if self._plain is not None:
            self._wait_for_turn(self._plain.take(data))
            return
        head = None if self._with_h11 else read_head(data)
        if head is None:
            self._with_h11 = True
            super().data_received(data)
            return
        self._plain = self._start(head)
        self._wait_for_turn(self._plain.take(data[head.end :]))

    def on_response_complete(self) -> None:
        """Read what has arrived behind the request."""
        self._idle_since = self.loop.time()
        if self._plain is None:
            super().on_response_complete()
            idle = self.conn.states == {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE}
            self._with_h11 = not idle or self.conn.trailing_data[0] != b""
            return
        self._plain = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)
        if self._waiting:
            data, self._waiting = self._waiting, b""
            self.data_received(data)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for so long.

        The timer is not set anew for each request, which would take longer than to read it.
        """
        self.timeout_keep_alive_task = None
        if self._plain is None:
            left = self._idle_since + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self._keep_alive(left)
            else:
                super().timeout_keep_alive_handler()

    def _keep_alive(self, seconds: float) -> None:
        handler = self.timeout_keep_alive_handler
        self.timeout_keep_alive_task = self.loop.call_later(seconds, handler)

    def _wait_for_turn(self, rest: bytes) -> None:
        """Keep what follows a request, and read no more, until the request has its response."""
        if rest:
            self._waiting += rest
            self.flow.pause_reading()

    def _start(self, head: PlainHead) -> PlainCycle:
        """Start to answer a request."""
        path, _, query = head.target.partition(b"?")
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": head.method,
            "root_path": self.root_path,
            "path": self.root_path + unquote(path.decode()),
            "raw_path": self.root_path.encode() + path,
            "query_string": query,
            "headers": head.headers,
            "state": self.app_state.copy(),
        }
        cycle = PlainCycle(
            head.length,
            head.keep_alive,
            scope=scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        self.cycle = cycle
        task = self.loop.create_task(cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        return cycle


class LimitedHttpProtocol(LimitedConnection, PlainOrH11):
    """HTTP/1.1 with the limits of a connection."""
