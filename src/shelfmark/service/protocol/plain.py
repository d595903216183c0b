"""Requests in the form that nearly all have, read by one regular expression.

h11 reads every other request, and what is none: a request is plain only if h11 would read the same
from it, so that h11 alone decides what is valid, and how it is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# No quantifier gives back what it has taken, so that a match takes time in proportion to the data.
HEAD = re.compile(
    rb"(GET|HEAD|POST) (/[!-~]*+) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)++)\r\n"
)
LENGTH = re.compile(rb"[0-9]{1,15}")
CONNECTIONS = {b"keep-alive": True, b"close": False}
# They change what follows the headers, or what the client expects before it.
NOT_PLAIN = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class PlainHead(NamedTuple):
    """The request line and the headers of a request.

    Args:
        method: of the request.
        target: the path and the query, as they came.
        headers: their names in lower case, each given once.
        length: bytes of the body.
        keep_alive: whether the client keeps the connection open.
        end: bytes of the data before the body.
    """

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    length: int
    keep_alive: bool
    end: int


def read_head(data: bytes) -> PlainHead | None:
    """Return the head of the plain request that data begins with; None if h11 is to read it."""
    match = HEAD.match(data)
    if match is None:
        return None
    method, target, lines = match.groups()
    headers = [
        (name.lower(), value.strip(b" \t"))
        for name, _, value in [line.partition(b":") for line in lines[:-2].split(b"\r\n")]
    ]
    first = dict(headers)
    if len(first) < len(headers) or b"host" not in first or not NOT_PLAIN.isdisjoint(first):
        return None
    length = first.get(b"content-length", b"0")
    keep_alive = CONNECTIONS.get(first.get(b"connection", b"keep-alive").lower())
    if keep_alive is None or not LENGTH.fullmatch(length):
        return None
    return PlainHead(method.decode(), target, headers, int(length), keep_alive, match.end())
