"""What every request passes on its way in and out: its name, its limits, its log line."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import Any

from loguru import logger
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelfmark.service.problems import TOO_LARGE, problem
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
ADDED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
WORKED_ON = ("/predict", "/load")  # the others are answered also when the service is busy


class Edge:
    """Names, limits, times, counts and logs each request.

    The body is read here, up to the limit, before the application begins: a slow client holds a
    connection and no place among those that are worked on.
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
        request = _Passing(scope, send)
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                await self._handle(request, receive)
        except TimeoutError:
            if request.status is None:
                await request.answer(problem(504, "The answer took too long."))
        finally:
            self._note(request)

    async def _handle(self, request: _Passing, receive: Receive) -> None:
        body = await self._body(request, receive)
        if body is None:
            return
        if request.scope["path"] not in WORKED_ON:
            await self._app(request.scope, _given(body, receive), request.send)
        elif self._in_flight >= self._settings.max_in_flight:
            busy = problem(503, "The service is busy; ask again.", headers={"Retry-After": "1"})
            await request.answer(busy)
        else:
            self._in_flight += 1
            self._telemetry.in_flight.inc()
            try:
                await self._app(request.scope, _given(body, receive), request.send)
            finally:
                self._in_flight -= 1
                self._telemetry.in_flight.dec()

    async def _body(self, request: _Passing, receive: Receive) -> bytes | None:
        """Return the whole body, or None where there is nobody to answer any more."""
        limit = self._settings.max_body_bytes
        announced = dict(request.scope["headers"]).get(b"content-length", b"0")
        body = bytearray()
        more, too_large = True, announced.isdigit() and int(announced) > limit
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                request.status = 499  # as web servers note it
                return None
            body += message.get("body", b"")
            more, too_large = message.get("more_body", False), len(body) > limit
        if too_large:
            detail = f"The body is larger than {limit:,} bytes."
            await request.answer(problem(TOO_LARGE, detail, headers={"Connection": "close"}))
            return None
        return bytes(body)

    def _note(self, request: _Passing) -> None:
        seconds = time.perf_counter() - request.started
        method, route = request.scope["method"], request.route()
        status = str(request.status or "unanswered")
        self._telemetry.requests.labels(method, route, status).inc()
        self._telemetry.seconds.labels(route).observe(seconds)
        logger.info(
            "{} {} {} {} {:.1f} ms",
            *(request.id, method, route, status, 1000 * seconds),
        )


class _Passing:
    """One request and what has been sent of its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.started = time.perf_counter()
        self.status: int | None = None
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        self.id = given.decode() if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = self.id
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a part of the answer, with the headers that all answers have."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = dict(message["headers"])
            message["headers"] = [
                *message["headers"],
                (b"x-request-id", self.id.encode()),
                *(pair for pair in ADDED if pair[0] not in own),
            ]
        await self._send(message)

    async def answer(self, response: Response) -> None:
        """Answer in place of the application."""
        await response(self.scope, _nothing, self.send)

    def route(self) -> str:
        """Return the path of the route, not of the request: paths are without end."""
        route: Any = self.scope.get("route")
        return getattr(route, "path", None) or "none"


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _given(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that has the whole body at once."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_given() -> Message:
        return messages.pop() if messages else await receive()

    return receive_given
