"""One request at the guard: its id, its start, its body so far, and the status of its response."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from shelfmark.service.limits.headers import RequestHeaders

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
CLOSE = (b"connection", b"close")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}
SECURITY_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
SECURITY_NAMES = frozenset(name for name, _ in SECURITY_HEADERS)


class RequestContext:
    """What the guard knows of a request.

    Args:
        scope: of the request; its state gets the request id.
        receive: returns the messages of the body.
        send: takes the messages of the response.
        preflight: the answer, if a browser asks what a page of another site may send.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, preflight: Response | None = None
    ) -> None:
        self.scope = scope
        self.preflight = preflight
        self.started = time.perf_counter()
        self.status: int | None = None
        self.headers = RequestHeaders.of(scope)
        self.body_read = not self.headers.has_body()
        self.body_awaited = True  # whether a refused client may still end its body
        self.must_close = False
        requested = self.headers.last(b"x-request-id")
        valid = requested and REQUEST_ID.fullmatch(requested)
        self.id = requested.decode() if valid else secrets.token_hex(16)
        scope["state"]["request_id"] = self.id
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """Return the next message of the body."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.body_read = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the response, with the headers that every response has.

        The connection ends with the response if the whole body was not read, because the next
        request could not be told from the rest of the body.
        """
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = message["headers"]
            names = {name for name, _ in own}
            added = SECURITY_HEADERS
            if not SECURITY_NAMES.isdisjoint(names):
                added = [pair for pair in added if pair[0] not in names]
            message["headers"] = [*own, (b"x-request-id", self.id.encode()), *added]
            if self.must_close or not self.body_read:
                message["headers"].append(CLOSE)
        await self._send(message)

    def route(self) -> str:
        """Return the path of the route, of which there are few, not that of the request.

        It is empty where no route was reached.
        """
        route: Any = self.scope.get("route")
        return getattr(route, "path", None) or ""
