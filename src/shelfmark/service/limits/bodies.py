"""Bodies of requests: how they are framed, how large they are, and how long they take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Message, Receive

from shelfmark.service.limits.headers import RequestHeaders
from shelfmark.service.limits.memory import MemoryBudget, MemoryShare
from shelfmark.service.limits.unpacking import STATE_BYTES, Unpacker
from shelfmark.service.protocol.connection import ClientGoneError
from shelfmark.service.responses import CONTENT_TOO_LARGE, RefusedError, RefusedFieldError

RETRY = {"Retry-After": "1"}
PART_BYTES = 1 << 16  # of a body: many that grow in one piece each would fragment the memory
NO_MEMORY = "Too many bodies and answers wait for their clients; ask again."


def check_framing(headers: RequestHeaders, http_version: str) -> None:
    """Check that the end of a body is where every server between sees it too.

    Source: RFC 9112, 6.1 and 6.3, on request smuggling.

    Raises:
        RefusedError: 400, the request has two lengths, or a transfer coding in HTTP/1.0.
    """
    if b"transfer-encoding" in headers:
        if b"content-length" in headers:
            problem = "should be given without Transfer-Encoding, or not at all"
            raise RefusedFieldError(400, "Content-Length", problem)
        if http_version == "1.0":
            raise RefusedFieldError(400, "Transfer-Encoding", "is not part of HTTP/1.0")
    if len(headers.all(b"content-length")) > 1:
        raise RefusedFieldError(400, "Content-Length", "should be given once")


def check_length(headers: RequestHeaders, limit: int) -> None:
    """Check the length that a body declares.

    Raises:
        RefusedError: 413, it is larger than `limit`.
    """
    declared = headers.last(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)


async def read_body(
    receive: Receive, limit: int, memory: MemoryBudget, gzip: bool = False
) -> tuple[bytes, MemoryShare]:
    """Return the whole body, and its share of the memory, which grows with what arrives.

    Args:
        receive: returns the messages of the body.
        limit: most bytes of the body, both as it arrives and unpacked.
        memory: gives the body its share.
        gzip: whether the body is packed.

    Raises:
        RefusedError: 413, the body is larger than `limit`; 400, it cannot be unpacked; 503, its
            memory is needed.
        ClientGoneError: the client has gone.
    """
    first = await _receive_part(receive)
    if gzip or first.get("more_body", False):
        return await _read_parts(first, receive, limit, memory, gzip)
    body: bytes = first.get("body", b"")
    if len(body) > limit:
        raise _too_large(limit)
    share = memory.share(_is_not_waiting)
    _grow(share, len(body))
    share.keep()
    return body, share


async def _read_parts(
    first: Message, receive: Receive, limit: int, memory: MemoryBudget, gzip: bool
) -> tuple[bytes, MemoryShare]:
    """Read a body that comes in several parts or is packed."""
    waiting = asyncio.timeout(None)
    share = memory.share(lambda: waiting.reschedule(asyncio.get_running_loop().time()))
    parts, size = [bytearray()], 0
    pieces = _limited(first, receive, limit)
    try:
        async with waiting:
            if gzip:
                _grow(share, STATE_BYTES)
                pieces = _unpacked(pieces)
            async for piece in pieces:
                size += len(piece)
                if size > limit:
                    raise _too_large(limit, " when unpacked")
                _grow(share, len(piece))
                if len(parts[-1]) >= PART_BYTES:
                    parts.append(bytearray())
                parts[-1] += piece
    except TimeoutError:  # the budget has closed the share
        raise RefusedError(503, NO_MEMORY, RETRY) from None
    except BaseException:
        share.release()
        raise
    else:
        share.keep()
        return b"".join(parts), share
    finally:
        parts.clear()  # which the traceback of a refusal would keep until its client has read it


def _too_large(limit: int, when: str = "") -> RefusedError:
    return RefusedFieldError(CONTENT_TOO_LARGE, "body", f"is larger than {limit:,} bytes{when}")


def _grow(share: MemoryShare, count: int) -> None:
    if not share.try_grow(count):
        raise RefusedError(503, NO_MEMORY, RETRY)


async def _receive_part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message


def _is_not_waiting() -> None:
    raise AssertionError("a share that is kept is not closed")


async def _limited(message: Message, receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """Yield a body as it arrives after its first message, up to the limit."""
    size = 0
    while True:
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk
        if not message.get("more_body", False):
            return
        del chunk
        message = await _receive_part(receive)


async def _unpacked(packed: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a body unpacks to; between two pieces, other requests have their turn."""
    unpacker = Unpacker(PART_BYTES)
    async for chunk in packed:
        for piece in unpacker.unpack(chunk):
            yield piece
            await asyncio.sleep(0)
    unpacker.end()
