"""A plain request and its response, between the connection and the application."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.types import Message
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

WITHOUT_CONTENT = (204, 304)
MOST_JOINED = 1 << 16  # bytes of content that are copied, to be one write with their head
STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus
}


class PlainCycle(RequestResponseCycle):
    """A cycle of uvicorn's that writes the response itself, in one piece where it can.

    The head of the response waits for the first part of its body.

    Args:
        length: bytes of the body of the request.
        keep_alive: whether the connection stays open after the response.
        parts: what uvicorn's cycle takes.
    """

    def __init__(self, length: int, keep_alive: bool, **parts: Any) -> None:
        super().__init__(**parts)
        self.keep_alive = keep_alive
        self._missing = length  # bytes of the body that have not arrived
        self._head = b""
        self._content_left: int | None = None  # of the response; None if it comes in chunks

    def take(self, data: bytes) -> bytes:
        """Take what has arrived of the body; return what follows the body."""
        body, rest = data[: self._missing], data[self._missing :]
        self._missing -= len(body)
        if not self.response_complete:
            self.body += body
            self.more_body = self._missing > 0
            if len(self.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self.message_event.set()
        return rest

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Write a message of the response, unless the client has gone.

        Raises:
            RuntimeError: the application sends what is no response.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self._start(message["status"], message["headers"])
        elif not self.response_complete:
            self._write(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"{message['type']} follows the end of the response")

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        first = dict(headers)
        if b"close" in first.get(b"connection", b"").lower():
            self.keep_alive = False
        elif not self.keep_alive:
            headers = [*headers, (b"connection", b"close")]
        if self.scope["method"] == "HEAD" or status in WITHOUT_CONTENT:
            self._content_left = 0
        elif b"content-length" in first:
            self._content_left = int(first[b"content-length"])
        else:
            headers = [*headers, (b"transfer-encoding", b"chunked")]
        pairs = [*self.default_headers, *headers]
        lines = [STATUS_LINES[status], *[b"%b: %b" % pair for pair in pairs], b"", b""]
        self._head = b"\r\n".join(lines)
        if self._head.count(b"\n") != len(lines) - 1 or self._head.count(b"\r") != len(lines) - 1:
            raise RuntimeError("a header of the response has more than one line")

    def _write(self, body: bytes, more: bool) -> None:
        if self._content_left is None:
            content = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            content += b"" if more else b"0\r\n\r\n"
        elif self.scope["method"] == "HEAD":
            content = b""
        else:
            content = body
            self._content_left -= len(body)
            if self._content_left < 0 or (self._content_left and not more):
                raise RuntimeError("the content of the response has another length than declared")
        head, self._head = self._head, b""
        if head and len(content) > MOST_JOINED:
            self.transport.write(head)
            head = b""
        self.transport.write(head + content)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive or self._missing:
                self.transport.close()
            self.on_response()
