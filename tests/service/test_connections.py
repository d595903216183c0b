"""Connections: how requests are framed, what closes them, and what they may occupy."""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest
from pydantic import SecretStr

from shelfmark.service.settings import Settings
from tests.support.moments import FOREVER, PATIENCE, until
from tests.support.raw_http import connected, read_to_the_end
from tests.support.serving import ROBOT
from tests.support.threaded_service import HeldModel, threaded_service

SECOND = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def settings(home: Path, **values: object) -> Settings:
    chosen = {"models": str(home / "models"), "model": "quick", "request_seconds": FOREVER}
    return Settings.model_validate(chosen | values)


def post(path: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_a_connection_ends_with_a_504_while_its_client_goes_on_sending(home: Path) -> None:
    with threaded_service(settings(home, request_seconds=0.3)) as client:
        with connected(client) as slow:
            slow.sendall(post("/predict", "Content-Length: 99", body=b"{"))
            answer = slow.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 504 ")
            assert b"connection: close" in answer
            with contextlib.suppress(OSError):
                while True:  # until the connection is closed
                    slow.sendall(b"x")
        with connected(client) as slow:
            slow.sendall(post("/predict", "Content-Length: 99", body=b"{"))
            assert read_to_the_end(slow).count(b"HTTP/1.1 ") == 1


def test_a_connection_ends_with_a_504_after_a_whole_body(home: Path, held_model: HeldModel) -> None:
    body = json.dumps({"text": ROBOT}).encode()
    with threaded_service(settings(home, request_seconds=0.3)) as client:
        with connected(client) as waiting:
            waiting.sendall(post("/predict", f"Content-Length: {len(body)}", body=body))
            assert read_to_the_end(waiting).startswith(b"HTTP/1.1 504 ")
        held_model.release()


@pytest.mark.parametrize("path", ["/health", "/nothing"])
def test_a_connection_ends_with_an_answer_that_did_not_wait_for_the_body(
    home: Path, path: str
) -> None:
    with threaded_service(settings(home)) as client, connected(client) as early:
        early.sendall(post(path, "Content-Length: 99", body=b"{"))
        answer = read_to_the_end(early)
        assert answer.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 404 "))


BODY = b"5\r\nhello\r\n0\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 15", CHUNKED],
        [CHUNKED, "Content-Length: 15"],
        [CHUNKED, "Content-Length: 0"],
        ["Content-Length: 15", "transfer-encoding:\r\n chunked"],
        ["Content-Length: 15", "Content-Length: 16"],
        ["Content-Length: 15, 16"],
        ["Content-Length: +15"],
        ["Content-Length: -1"],
        ["Content-Length: 0x0f"],
        ["Content-Length: 1_5"],
        ["Content-Length: 15 15"],
        ["Content-Length:"],
        ["Content-Length : 15"],
        ["Content-Length: 999999999999999999999999"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: identity, chunked"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding : chunked"],
        [CHUNKED, CHUNKED],
        ["X: a\rContent-Length: 15", CHUNKED, "Content-Length: 15"],
    ],
)
def test_a_request_whose_end_is_ambiguous_is_refused_and_its_connection_closed(
    server: httpx.Client, headers: list[str]
) -> None:
    with connected(server) as connection:
        connection.sendall(post("/predict", *headers, body=BODY + SECOND))
        answer = read_to_the_end(connection)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert answer.count(b"HTTP/1.1 ") == 1, "the second request is not answered"


def test_http_1_0_has_no_chunks(server: httpx.Client) -> None:
    request = post("/predict", CHUNKED, body=BODY + SECOND).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    with connected(server) as connection:
        connection.sendall(request)
        answer = read_to_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhelloXX0\r\n\r\n",  # no end of line after the chunk
        b"5\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_malformed_chunk_is_refused_and_its_connection_closed(
    server: httpx.Client, body: bytes
) -> None:
    with connected(server) as connection:
        connection.sendall(post("/predict", CHUNKED, body=body + SECOND))
        answer = read_to_the_end(connection)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"alive" not in answer


@pytest.mark.parametrize(
    "headers",
    [["Content-Length: 5, 5"], [CHUNKED.upper()], ["Transfer-Encoding:\r\n chunked"]],
)
def test_what_has_one_meaning_is_accepted(server: httpx.Client, headers: list[str]) -> None:
    body = b"hello" if "LENGTH" in headers[0].upper() else BODY
    with connected(server) as connection:
        connection.sendall(post("/predict", *headers, body=body + SECOND))
        content = b""
        while b"alive" not in content:
            content += connection.recv(65_536)
    assert content.startswith(b"HTTP/1.1 422 ")


def test_a_websocket_is_not_opened(server: httpx.Client) -> None:
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    with connected(server) as connection:
        connection.sendall(post("/health", *upgrade).replace(b"POST", b"GET"))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/predict", "X-API-Key: wrong", b"401"),
        ("/predict", "X-Other: 1", b"401"),
        ("/load", "X-Admin-Key: wrong", b"401"),
    ],
)
def test_a_wrong_key_is_refused_before_the_body_arrives(
    home: Path, path: str, key: str, status: bytes
) -> None:
    keys = {
        "api_key": SecretStr("the right key of all"),
        "admin_key": SecretStr("the right key of all"),
    }
    with threaded_service(settings(home, **keys)) as client, connected(client) as connection:
        connection.sendall(post(path, key, "Content-Length: 4000000", "Expect: 100-continue"))
        answer = read_to_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 " + status), "without 100 Continue"
    assert answer.count(b"HTTP/1.1 ") == 1


def test_loading_without_an_admin_key_is_refused_before_the_body_arrives(home: Path) -> None:
    with threaded_service(settings(home)) as client, connected(client) as connection:
        connection.sendall(post("/load", "Content-Length: 4000000"))
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 404 ")


def test_a_client_that_sends_its_whole_body_reads_the_refusal(home: Path) -> None:
    with (
        threaded_service(settings(home, api_key=SecretStr("the right key of all"))) as client,
        connected(client) as connection,
    ):
        connection.sendall(post("/predict", "Content-Length: 2000000", body=b"x" * 2_000_000))
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 401 ")


def test_other_sites_may_read_a_refusal_of_the_guard(home: Path) -> None:
    keys = {"api_key": SecretStr("the right key of all"), "cors_origins": ["https://example.org"]}
    with threaded_service(settings(home, **keys)) as client:
        answer = client.post("/predict", json={}, headers={"Origin": "https://example.org"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "https://example.org"


def test_stalled_bodies_do_not_keep_others_out(home: Path) -> None:
    with threaded_service(settings(home, buffer_bytes=100_000)) as client, connected(client) as old:
        old.sendall(post("/predict", "Content-Length: 99000", body=b" " * 90_000))
        body = json.dumps({"text": ROBOT, "id": "x" * 200}) + " " * 20_000
        headers = {"Content-Type": "application/json"}
        statuses = set()

        def answered() -> bool:
            answer = client.post("/predict", content=body, headers=headers)
            statuses.add(answer.status_code)
            assert answer.status_code == 200 or answer.headers["retry-after"] == "1"
            return b"503" in peek(old)

        until(answered)
        assert statuses <= {200, 503}
        assert read_to_the_end(old).startswith(b"HTTP/1.1 503 ")
        assert client.post("/predict", content=body, headers=headers).status_code == 200


def peek(connection: socket.socket) -> bytes:
    """Return what has arrived without waiting for more."""
    ready, _, _ = select.select([connection], [], [], 0)
    return connection.recv(64, socket.MSG_PEEK) if ready else b""


def test_a_client_that_does_not_receive_its_answer_is_closed(home: Path) -> None:
    body = json.dumps({"papers": [{"text": "robot"}] * 256, "top_k": 200}).encode()
    request, count = post("/predict", f"Content-Length: {len(body)}", body=body), 40
    with threaded_service(settings(home, answer_seconds=0.2)) as client, socket.socket() as slow:
        # The answers together are larger than the buffers of the system.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE)
        slow.connect((client.base_url.host, client.base_url.port))
        slow.sendall(request * count)
        own = slow.getsockname()[1]
        select.select([slow], [], [])

        def open_at_the_server() -> bool:
            connections = psutil.Process().net_connections("tcp")
            return any(other.raddr and other.raddr.port == own for other in connections)

        until(lambda: not open_at_the_server())
        assert 0 < read_to_the_end(slow).count(b"HTTP/1.1 200 ") < count


@pytest.fixture
def held_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldModel]:
    held = HeldModel(monkeypatch)
    yield held
    held.release()
