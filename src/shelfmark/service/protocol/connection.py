"""The limits of a connection: how long a client may take, and what its answers occupy.

They stand before the parser of HTTP and know nothing of it: `LimitedConnection` sees bytes come
and go, and the request guard tells it when a request starts and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from shelfmark.service.limits.memory import MemoryBudget, MemoryShare

# Keys of the ASGI state: of the lifespan, and of a request whose body the guard has read.
LIMITS, CONNECTION, BODY, MEMORY = "limits", "connection", "body", "memory"
T = TypeVar("T")
READ_BYTES = 1 << 15  # that asyncio reads of a connection at once; its own default is eight times


class ClientGoneError(Exception):
    """The client has closed the connection before it got its answer."""


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits of a worker's connections, which the guard puts into the state of the lifespan.

    Args:
        header_seconds: longest time to receive the headers of a request.
        answer_seconds: longest time until the client has received an answer.
        memory: counts the unsent bytes of answers.
        headers: returns the headers of an answer to what is no request, for its origin.
    """

    header_seconds: float
    answer_seconds: float
    memory: MemoryBudget
    headers: Callable[[str], list[tuple[bytes, bytes]]]


class LimitedConnection(asyncio.Protocol):
    """Closes a connection whose headers or whose answers take too long.

    It stands before the class of any parser of uvicorn's, as in `LimitedHttpProtocol`. The state of
    each request holds the connection.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: Any  # uvicorn's control of reading and writing
    cycle: Any  # uvicorn's last request and response

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], **rest: Any):
        super().__init__(config, server_state, {**app_state, CONNECTION: self}, **rest)  # type: ignore[call-arg]
        self._limits: ConnectionLimits = app_state[LIMITS]
        self._requests = 0  # in progress
        self._header_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._unsent: MemoryShare | None = None
        self._awaited: asyncio.Future[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer for the first request."""
        assert isinstance(transport, asyncio.Transport)
        # `pause_writing` is then called whenever a client does not take an answer at once.
        transport.set_write_buffer_limits(high=0)
        # Many clients that send at once fill as many reads before the first body is counted.
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]
        super().connection_made(transport)
        self._start_header_timer()

    def data_received(self, data: bytes) -> None:
        """Parse the data; the timer runs until the headers of a request are complete."""
        super().data_received(data)
        between = self.cycle is None or self.cycle.response_complete
        if between and self._header_timer is None:
            self._start_header_timer()

    def request_started(self) -> None:
        """Stop the timer of the headers, which are complete."""
        self._requests += 1
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def request_ended(self) -> None:
        """Expect the next request."""
        self._requests -= 1

    async def wait_for(self, future: asyncio.Future[T]) -> T:
        """Return the result of a future, which ends early if the client closes the connection.

        Raises:
            ClientGoneError: the client has gone.
        """
        self._awaited = future
        self.flow.resume_reading()  # paused by a large body, it would not notice the end
        try:
            return await future
        finally:
            self._awaited = None

    def pause_writing(self) -> None:
        """Count the bytes that the client has not received, and limit the time for them."""
        super().pause_writing()
        memory = self._limits.memory
        self._unsent = memory.share(self.transport.abort)
        unsent = self.transport.get_write_buffer_size()
        if not self._unsent.try_grow(unsent):
            self._unsent.grow(unsent)
        self._answer_timer = self.loop.call_later(self._limits.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Release the bytes, which the client has received."""
        self._release_unsent()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        self._release_unsent()
        if self._header_timer is not None:
            self._header_timer.cancel()
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(ClientGoneError())
        super().connection_lost(exc)

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(self._limits.header_seconds, self.transport.close)

    def _release_unsent(self) -> None:
        if self._unsent is not None:
            self._unsent.release()
            self._unsent = None
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None
