"""Requests one after another on a connection, in pieces of any size, plain ones among others."""

from __future__ import annotations

import json
import socket

import httpx2 as httpx
import pytest

from tests.support.raw_http import connected, read_to_the_end
from tests.support.serving import ROBOT

HOST = "Host: x"
BODY = json.dumps({"text": ROBOT}).encode()


def request(first: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{first} HTTP/1.1", HOST, *headers, "", ""]).encode() + body


def predict(*headers: str, body: bytes = BODY) -> bytes:
    length = f"Content-Length: {len(body)}"
    return request("POST /predict", "Content-Type: application/json", length, *headers, body=body)


def chunked(body: bytes, trailer: bytes = b"") -> bytes:
    head = request("POST /predict", "Content-Type: application/json", "Transfer-Encoding: chunked")
    return head + b"%x;extension=1\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailer)


HEALTH = request("GET /health")
UPGRADE = request("GET /health", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                  "HTTP2-Settings: AAMAAABkAAQAAP__")  # fmt: skip
LAST = request("GET /ready", "Connection: close")
EXPECTING = predict("Expect: 100-continue")
MIXED = {
    "plain": [HEALTH, predict(), HEALTH],
    "chunked": [chunked(BODY), HEALTH, chunked(BODY, b"X-Trailer: 1\r\n"), predict()],
    "upgrade": [UPGRADE, HEALTH, UPGRADE, predict()],
    "head": [request("HEAD /health"), predict(), request("HEAD /model"), HEALTH],
    "empty": [request("POST /predict", "Content-Length: 0"), HEALTH, request("OPTIONS *"), HEALTH],
    "invalid": [predict(body=b"{"), predict(body=b'{"text": ""}'), HEALTH],
}
PREDICTED = b'"cross_lists":'


@pytest.mark.parametrize("piece", [1, 7, 100, 1 << 20])
@pytest.mark.parametrize("name", MIXED)
def test_each_request_of_a_connection_is_answered_in_its_turn(
    server: httpx.Client, name: str, piece: int
) -> None:
    requests = [*MIXED[name], LAST]
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b"".join(requests)
        for begin in range(0, len(data), piece):
            connection.sendall(data[begin : begin + piece])
        content = read_to_the_end(connection)
    assert content.count(b"HTTP/1.1 ") == len(requests)
    assert content.count(PREDICTED) == data.count(ROBOT.encode())
    assert content.count(b"x-request-id") == len(requests)
    assert content.endswith(server.get("/ready").content)


def test_an_expected_body_is_asked_for(server: httpx.Client) -> None:
    with connected(server) as connection:
        connection.sendall(HEALTH + EXPECTING.removesuffix(BODY))
        content = b""
        while b"HTTP/1.1 100 " not in content:
            content += connection.recv(65_536)
        connection.sendall(BODY + LAST)
        content += read_to_the_end(connection)
    assert content.count(b"HTTP/1.1 200 ") == 3
    assert content.count(PREDICTED) == 1


@pytest.mark.parametrize(
    "fault",
    [b"GET /health HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n",
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\r\n\r\n",
     b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
     b"GET /health HTTP/1.1\r\nHost: x\r\n folded: 1\r\nX : y\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_request_ends_the_connection_after_the_answers_before_it(
    server: httpx.Client, fault: bytes
) -> None:
    with connected(server) as connection:
        connection.sendall(HEALTH + predict() + fault + HEALTH)
        content = read_to_the_end(connection)
    assert content.count(b"HTTP/1.1 200 ") == 2
    refusal = content[content.rindex(b"HTTP/1.1 ") :]
    assert refusal.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in refusal
    assert b"connection: close" in refusal.lower()


@pytest.mark.parametrize("more", [b"", b"x" * 40_000])
def test_a_body_that_nobody_reads_is_no_request(server: httpx.Client, more: bytes) -> None:
    hidden = HEALTH + more
    with connected(server) as connection:
        connection.sendall(
            request("GET /health", f"Content-Length: {len(hidden)}", body=hidden[:-1])
        )
        content = read_to_the_end(connection)
    assert content.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in content


def test_more_requests_than_are_read_at_once_wait_for_their_turn(server: httpx.Client) -> None:
    count = 2000
    with connected(server) as connection:
        connection.sendall(HEALTH * count + LAST)
        content = read_to_the_end(connection)
    assert content.count(b"HTTP/1.1 200 ") == count + 1
