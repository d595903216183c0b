"""The guard around the application: keys, limits, request ids, log lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shelfmark.core import console
from shelfmark.service.auth import RequiredKey
from shelfmark.service.limits.bodies import RETRY, check_framing, check_length, read_body
from shelfmark.service.limits.content import check_content
from shelfmark.service.limits.context import SECURITY_HEADERS, RequestContext
from shelfmark.service.limits.memory import MemoryBudget
from shelfmark.service.middleware.cors import OtherOrigins
from shelfmark.service.protocol.connection import (
    BODY,
    CONNECTION,
    LIMITS,
    MEMORY,
    ClientGoneError,
    ConnectionLimits,
)
from shelfmark.service.responses import RefusedError, problem_response
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry

LIMITED_PATHS = (
    "/predict",
    "/search",
    "/embed",
    "/load",
)  # a busy service still answers the others
LINGER_SECONDS = 1.0  # in which a refused client may end its body, and so read the refusal


class RequestGuard:
    """Identifies, limits, times, counts and logs each request.

    It checks the key before it reads a body, and reads the whole body, up to the limit, before it
    calls the application: a slow client occupies a connection, but none of the places in flight.

    Args:
        app: the application.
        settings: the limits.
        telemetry: counts the requests.
        keys: the keys that the paths require of POST requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        telemetry: Telemetry,
        keys: Mapping[str, RequiredKey],
    ) -> None:
        self._app = app
        self._settings = settings
        self._telemetry = telemetry
        self._keys = keys
        self._origins = OtherOrigins(settings.cors_origins) if settings.cors_origins else None
        self._memory = MemoryBudget(settings.buffer_bytes)
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the start and the end of the service."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan" and "state" in scope:
                settings = self._settings
                scope["state"][LIMITS] = ConnectionLimits(
                    settings.header_seconds, settings.answer_seconds, self._memory, self._headers
                )
            await self._app(scope, receive, send)
            return
        preflight = self._origins.answer_preflight(scope) if self._origins else None
        if self._origins and preflight is None:
            send = self._origins.decorate(scope, send)
        request = RequestContext(scope, receive, send, preflight)
        connection = scope["state"].get(CONNECTION)
        if connection is None:  # without the service's own protocol, as in a test client
            await self._handle_and_record(request)
            return
        connection.request_started()
        try:
            await self._handle_and_record(request)
        finally:
            connection.request_ended()

    def _headers(self, origin: str) -> list[tuple[bytes, bytes]]:
        """Return the headers of an answer to what is no request, to a page of an origin."""
        return [*SECURITY_HEADERS, *(self._origins.headers(origin) if self._origins else [])]

    async def _handle_and_record(self, request: RequestContext) -> None:
        try:
            await self._handle_in_time(request)
        except asyncio.CancelledError:  # the time for requests in flight has ended
            request.body_awaited = False
            stops = problem_response(503, "The service stops; ask again.", headers=RETRY)
            await self._give_up(request, stops)
        finally:
            self._record(request)

    async def _handle_in_time(self, request: RequestContext) -> None:
        try:
            async with asyncio.timeout(self._seconds(request.scope["path"])):
                await self._handle(request)
        except TimeoutError:
            await self._give_up(request, problem_response(504, "The answer took too long."))
        except RefusedError as refused:
            await self._refuse(request, refused.response)
        except ClientGoneError:
            request.status = 499  # "client closed request", as nginx logs it

    async def _give_up(self, request: RequestContext, response: Response) -> None:
        """Send a response in place of one that has not started, and close the connection."""
        if request.status is None:
            request.must_close = True
            await self._refuse(request, response)

    def _seconds(self, path: str) -> float:
        """Return the longest time of a request; loading a model has a limit of its own."""
        more = self._settings.load_seconds if path == "/load" else 0.0
        return self._settings.request_seconds + more

    async def _handle(self, request: RequestContext) -> None:
        scope, headers = request.scope, request.headers
        if request.preflight is not None:
            await request.preflight(scope, request.receive, request.send)
            return
        check_framing(headers, scope["http_version"])
        if scope["method"] == "POST" and scope["path"] in self._keys:
            self._keys[scope["path"]].check(headers)
        if scope["path"] not in LIMITED_PATHS:  # no other route takes a body
            await self._app(scope, request.receive, request.send)
            return
        limit = self._settings.max_body_bytes
        check_length(headers, limit)
        gzip = scope["method"] == "POST" and headers.has_body() and check_content(headers)
        body, share = await read_body(request.receive, limit, self._memory, gzip)
        scope["state"] |= {BODY: body, MEMORY: share}
        try:
            await self._handle_body(request)
        finally:
            share.release()

    async def _handle_body(self, request: RequestContext) -> None:
        if self._in_flight >= self._settings.max_in_flight:
            raise RefusedError(503, "The service is busy; ask again.", RETRY)
        self._in_flight += 1
        self._telemetry.in_flight.inc()
        try:
            await self._app(request.scope, request.receive, request.send)
        finally:
            self._in_flight -= 1
            self._telemetry.in_flight.dec()

    async def _refuse(self, request: RequestContext, response: Response) -> None:
        """Send a response in place of the application's.

        Closing a connection at once while its client sends can lose the response, so the rest of
        the body is read first, for a moment.
        """

        async def send_and_linger(message: Message) -> None:
            last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if last and not request.body_read and request.body_awaited:
                await request.send({**message, "more_body": True})
                await self._drain(request)
                message = {**message, "body": b""}
            await request.send(message)

        await response(request.scope, _disconnect, send_and_linger)

    async def _drain(self, request: RequestContext) -> None:
        """Discard the rest of a body, up to the limits of time and size."""
        left = self._settings.max_body_bytes
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0:
                    message = await request.receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return
                    left -= len(message["body"])
        except TimeoutError:
            pass

    def _record(self, request: RequestContext) -> None:
        seconds = time.perf_counter() - request.started
        method, path = request.scope["method"], request.scope["path"]
        # What is refused before its route counts as the route's, where the path is its name.
        route = request.route() or (path if path in LIMITED_PATHS else "none")
        status = str(request.status or "unanswered")
        self._telemetry.count_request(method, route, status, seconds)
        console.log_line(f"{request.id} {method} {route} {status} {1000 * seconds:.1f} ms")


async def _disconnect() -> Message:
    return {"type": "http.disconnect"}
