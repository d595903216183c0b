"""Bodies of requests: how they are framed, how large they are, and how long they take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive

from shelfmark.service.http_protocol import ClientGoneError
from shelfmark.service.limits.memory import MemoryBudget, MemoryShare
from shelfmark.service.responses import CONTENT_TOO_LARGE, RefusedError

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
            raise RefusedError(400, "Give Content-Length or Transfer-Encoding, not both.")
        if http_version == "1.0":
            raise RefusedError(400, "HTTP/1.0 has no Transfer-Encoding.")
    if names.count(b"content-length") > 1:
        raise RefusedError(400, "Give Content-Length once.")


async def read_body(
    receive: Receive, headers: Headers, limit: int, memory: MemoryBudget
) -> tuple[bytes, MemoryShare]:
    """Return the whole body, and its share of the memory, which grows with what arrives.

    Raises:
        RefusedError: 413, the body is larger than `limit`; 503, its memory is needed.
        ClientGoneError: the client has gone.
    """
    too_large = RefusedError(CONTENT_TOO_LARGE, f"The body is larger than {limit:,} bytes.")
    declared = dict(headers).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    waiting = asyncio.timeout(None)
    share = memory.share(lambda: waiting.reschedule(asyncio.get_running_loop().time()))
    parts, size = [bytearray()], 0
    try:
        async with waiting:
            async for chunk in _chunks(receive):
                size += len(chunk)
                if size > limit:
                    raise too_large
                if not share.try_grow(len(chunk)):
                    raise RefusedError(503, NO_MEMORY, RETRY)
                if len(parts[-1]) >= PART_BYTES:
                    parts.append(bytearray())
                parts[-1] += chunk
    except TimeoutError:  # the budget has closed the share
        raise RefusedError(503, NO_MEMORY, RETRY) from None
    except BaseException:
        share.release()
        raise
    share.keep()
    return b"".join(parts), share


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        more = message.get("more_body", False)
        yield message.get("body", b"")
