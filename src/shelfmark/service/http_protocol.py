"""The HTTP protocol of a connection: how long a client may take to send its headers."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from shelfmark.service.settings import Settings


@functools.cache
def _header_seconds() -> float:
    return Settings().header_seconds


class HeaderTimeoutProtocol(H11Protocol):
    """Closes a connection whose request headers take too long to arrive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timeout = _header_seconds()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._timeout, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Parse the data; keep the timer running while the headers are incomplete."""
        super().data_received(data)
        partial = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if partial and self._timer is None:
            self._timer = self.loop.call_later(self._timeout, self.transport.close)
        elif not partial:
            self._cancel_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        super().connection_lost(exc)
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
