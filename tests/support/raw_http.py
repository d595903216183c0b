"""Requests as bytes, and the answers to them, for what no client library sends or shows."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2 as httpx

from tests.support.moments import PATIENCE


@dataclass(frozen=True)
class RawAnswer:
    """The first answer on a connection; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@contextlib.contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        yield connection


def read_to_the_end(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes the connection."""
    content = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            content += chunk
    return content


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request as bytes, after which the connection is closed."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def send(client: httpx.Client, data: bytes) -> RawAnswer:
    """Send bytes, and return the answer."""
    with connected(client) as connection:
        connection.sendall(data)
        return parse(read_to_the_end(connection))


def parse(content: bytes) -> RawAnswer:
    head, _, body = content.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(": ")[::2] for line in lines]
    names = [name.lower() for name, _ in pairs]
    assert len(set(names)) == len(names), f"a header is given twice: {names}"
    return RawAnswer(int(first.split()[1]), {name.lower(): value for name, value in pairs}, body)
