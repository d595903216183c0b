"""JSON of requests, parsed only if it is small enough to be parsed at once.

A body of 2 MB can have a million values, which would occupy the worker for half a second and a
hundred megabytes. The values are therefore counted first, by operations on bytes alone.
"""

from __future__ import annotations

import asyncio
import codecs
import json
from typing import Any

from shelfmark.service.messages import InvalidFieldError, field_path

GZIP = b"\x1f\x8b"  # its first bytes
LARGE = 1 << 16  # bytes of a body that is parsed in steps


def count_values(body: bytes, most: int) -> int:
    """Return an upper bound of the number of values in JSON, or a number above `most`.

    Each value but the first stands behind a comma or an opening bracket outside the strings.
    """
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")  # what is left ends its string
    quotes = body.count(b'"')
    if quotes > 4 * (most + 1):  # a key and a string for each value
        return quotes // 4
    outside = b"".join(body.split(b'"')[::2])
    return 1 + outside.count(b",") + outside.count(b"[") + outside.count(b"{")


def check_values(body: bytes, most: int) -> None:
    """Check the number of values in JSON.

    Raises:
        InvalidFieldError: it has more than `most`.
    """
    if count_values(body, most) > most:
        raise InvalidFieldError("body", f"should have at most {most:,} values")


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8 whose values have been counted.

    Raises:
        InvalidFieldError: the text is not UTF-8, has a key twice or a constant that JSON lacks, or
            too many digits or too many levels.
        json.JSONDecodeError: the text is not JSON.
    """
    try:
        return DECODER.decode(_decode(body))
    except RecursionError:
        raise InvalidFieldError("body", "has too many levels") from None
    except json.JSONDecodeError:
        raise
    except ValueError:
        raise InvalidFieldError("body", "has a number of too many digits") from None


def _decode(body: bytes) -> str:
    """Return a body as text; the byte order mark of UTF-8 is accepted."""
    if body.startswith(GZIP):
        raise InvalidFieldError("body", "is gzip, but Content-Encoding does not say so")
    if b"\0" in body[:4] or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidFieldError("body", "should be UTF-8, not UTF-16 or UTF-32")
    try:
        return body.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        problem = f"should be UTF-8, but has the byte 0x{byte:02X} at {error.start:,}"
        raise InvalidFieldError("body", problem) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, unless a key of it has two values, of which one would be ignored."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidFieldError(field_path([twice]), "is given twice")
    return value


def _refuse_constant(name: str) -> None:
    raise InvalidFieldError("body", f"has {name}, which is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


async def read_json(body: bytes, most_values: int, one_large: asyncio.Lock) -> Any:
    """Return the value of a body; other requests have their turns between the steps of a large one.

    Args:
        body: of the request.
        most_values: that it may have.
        one_large: is held by the one large body that is read, whose steps can take 50 ms.

    Raises:
        InvalidFieldError: it has too many values, or `parse_json` refuses it.
        json.JSONDecodeError: it is not JSON.
    """
    if len(body) < LARGE:
        check_values(body, most_values)
        return parse_json(body)
    async with one_large:
        check_values(body, most_values)
        await asyncio.sleep(0)
        value = parse_json(body)
        await asyncio.sleep(0)
        return value
