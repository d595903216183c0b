"""Bodies of requests: how they are framed, how large they are, and how long they take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive

from shelfmark.service.limits.memory import MemoryBudget, MemoryShare
from shelfmark.service.limits.unpacking import STATE_BYTES, Unpacker
from shelfmark.service.protocol.connection import ClientGoneError
from shelfmark.service.responses import CONTENT_TOO_LARGE, RefusedError, RefusedFieldError

Headers = list[tuple[bytes, bytes]]
RETRY = {"Retry-After": "1"}
PART_BYTES = 1 << 16  # of a body: many that grow in one piece each would fragment the memory
NO_MEMORY = "Too many bodies and answers wait for their clients; ask again."


def has_body(headers: Headers) -> bool:
    """Return whether a request has a body, by its headers."""
    names = dict(headers)
    return b"transfer-encoding" in names or names.get(b"content-length", b"0") != b"0"


def check_framing(headers: Headers, http_version: str) -> None:
    """Check that the end of a body is where every server between sees it too.

    Source: RFC 9112, 6.1 and 6.3, on request smuggling.

    Raises:
        RefusedError: 400, the request has two lengths, or a transfer coding in HTTP/1.0.
    """
    names = [name for name, _ in headers]
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            problem = "should be given without Transfer-Encoding, or not at all"
            raise RefusedFieldError(400, "Content-Length", problem)
        if http_version == "1.0":
            raise RefusedFieldError(400, "Transfer-Encoding", "is not part of HTTP/1.0")
    if names.count(b"content-length") > 1:
        raise RefusedFieldError(400, "Content-Length", "should be given once")


def check_length(headers: Headers, limit: int) -> None:
    """Check the length that a body declares.

    Raises:
        RefusedError: 413, it is larger than `limit`.
    """
    declared = dict(headers).get(b"content-length", b"0")
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
    waiting = asyncio.timeout(None)
    share = memory.share(lambda: waiting.reschedule(asyncio.get_running_loop().time()))
    parts, size = [bytearray()], 0
    pieces = _limited(receive, limit)
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


async def _limited(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """Yield a body as it arrives, up to the limit."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        more = message.get("more_body", False)
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


async def _unpacked(packed: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a body unpacks to; between two pieces, other requests have their turn."""
    unpacker = Unpacker(PART_BYTES)
    async for chunk in packed:
        for piece in unpacker.unpack(chunk):
            yield piece
            await asyncio.sleep(0)
    unpacker.end()
