"""The guard around the application: request ids, limits, security headers, log lines."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import Any

from loguru import logger
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelfmark.service.responses import CONTENT_TOO_LARGE, problem_response
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
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
LIMITED_PATHS = ("/predict", "/load")  # a busy service still answers the others


class RequestGuard:
    """Identifies, limits, times, counts and logs each request.

    It reads the whole body, up to the limit, before it calls the application: a slow client
    occupies a connection, but none of the places in flight.
    """

    def __init__(self, app: ASGIApp, settings: Settings, telemetry: Telemetry) -> None:
        self._app = app
        self._settings = settings
        self._telemetry = telemetry
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = RequestContext(scope, send)
        try:
            async with asyncio.timeout(self._seconds(scope["path"])):
                await self._handle(request, receive)
        except TimeoutError:
            if request.status is None:
                await request.respond(problem_response(504, "The answer took too long."))
        finally:
            self._record(request)

    def _seconds(self, path: str) -> float:
        """Return the longest time of a request; loading a model has a limit of its own."""
        more = self._settings.load_seconds if path == "/load" else 0.0
        return self._settings.request_seconds + more

    async def _handle(self, request: RequestContext, receive: Receive) -> None:
        body = await self._read_body(request, receive)
        if body is None:
            return
        if request.scope["path"] not in LIMITED_PATHS:
            await self._app(request.scope, _replay(body, receive), request.send)
        elif self._in_flight >= self._settings.max_in_flight:
            busy = problem_response(
                503, "The service is busy; ask again.", headers={"Retry-After": "1"}
            )
            await request.respond(busy)
        else:
            self._in_flight += 1
            self._telemetry.in_flight.inc()
            try:
                await self._app(request.scope, _replay(body, receive), request.send)
            finally:
                self._in_flight -= 1
                self._telemetry.in_flight.dec()

    async def _read_body(self, request: RequestContext, receive: Receive) -> bytes | None:
        """Return the whole body, or None if the client has gone or has been refused."""
        limit = self._settings.max_body_bytes
        declared = dict(request.scope["headers"]).get(b"content-length", b"0")
        body = bytearray()
        more, too_large = True, declared.isdigit() and int(declared) > limit
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                request.status = 499  # "client closed request", as nginx logs it
                return None
            body += message.get("body", b"")
            more, too_large = message.get("more_body", False), len(body) > limit
        if too_large:
            detail = f"The body is larger than {limit:,} bytes."
            await request.respond(
                problem_response(CONTENT_TOO_LARGE, detail, headers={"Connection": "close"})
            )
            return None
        return bytes(body)

    def _record(self, request: RequestContext) -> None:
        seconds = time.perf_counter() - request.started
        method, route = request.scope["method"], request.route()
        status = str(request.status or "unanswered")
        self._telemetry.count_request(method, route, status, seconds)
        logger.info(
            "{} {} {} {} {:.1f} ms",
            *(request.id, method, route, status, 1000 * seconds),
        )


class RequestContext:
    """One request: its id, its start, and the status of its response."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.started = time.perf_counter()
        self.status: int | None = None
        requested = dict(scope["headers"]).get(b"x-request-id", b"")
        valid = REQUEST_ID.fullmatch(requested)
        self.id = requested.decode() if valid else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = self.id
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a message of the response, with the headers that every response has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            existing = dict(message["headers"])
            message["headers"] = [
                *message["headers"],
                (b"x-request-id", self.id.encode()),
                *(pair for pair in SECURITY_HEADERS if pair[0] not in existing),
            ]
        await self._send(message)

    async def respond(self, response: Response) -> None:
        """Send a response in place of the application's."""
        await response(self.scope, _disconnect, self.send)

    def route(self) -> str:
        """Return the path of the route, of which there are few, not that of the request."""
        route: Any = self.scope.get("route")
        return getattr(route, "path", None) or "none"


async def _disconnect() -> Message:
    return {"type": "http.disconnect"}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that delivers the whole body at once."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_replayed() -> Message:
        return messages.pop() if messages else await receive()

    return receive_replayed
