"""What the guard answers in place of an application, and how it stands before the monitor's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from starlette.types import Message, Receive, Scope, Send

from shelfmark.service import monitor
from shelfmark.service.auth import RequiredKey
from shelfmark.service.middleware.guard import RequestGuard
from shelfmark.service.monitor import MonitorSettings
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry

ORIGIN = "https://lab.example"


def request_scope(path: str) -> Scope:
    headers = [(b"origin", ORIGIN.encode()), (b"content-length", b"99")]
    return {"type": "http", "method": "GET", "path": path, "http_version": "1.1",
            "headers": headers}  # fmt: skip


def test_a_request_that_is_given_up_at_the_end_is_told_so_at_once() -> None:
    sent: list[Message] = []
    started = asyncio.Event()

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        started.set()
        await asyncio.Event().wait()

    async def receive() -> Message:
        raise AssertionError("the rest of the body is not waited for")

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        guard = RequestGuard(hang, Settings(cors_origins=[ORIGIN]), Telemetry(), {})
        request: Any = asyncio.create_task(guard(request_scope("/slow"), receive, send))
        await started.wait()
        request.cancel()
        await request

    asyncio.run(run())
    start, body = sent
    headers = dict(start["headers"])
    assert start["status"] == json.loads(body["body"])["status"] == 503
    assert headers[b"retry-after"] == b"1"
    assert headers[b"connection"] == b"close"
    assert headers[b"access-control-allow-origin"] == ORIGIN.encode()
    assert b"x-request-id" in headers


def test_a_refused_request_whose_body_is_still_read_ends_without_an_error() -> None:
    sent: list[Message] = []
    reading = asyncio.Event()

    async def receive() -> Message:
        reading.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        keys = {"/slow": RequiredKey("X-API-Key", SecretStr("a key of a service"))}
        guard = RequestGuard(nothing, Settings(), Telemetry(), keys)
        scope = request_scope("/slow") | {"method": "POST"}
        request: Any = asyncio.create_task(guard(scope, receive, send))
        await reading.wait()
        request.cancel()
        await request

    asyncio.run(run())
    assert sent[0]["status"] == 401
    assert [message["type"] for message in sent].count("http.response.start") == 1


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("the request is refused")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    settings = MonitorSettings(reports=tmp_path, cors_origins=[ORIGIN], root_path="/drifting")
    with TestClient(monitor.create_app(settings), headers={"Origin": ORIGIN}) as client:
        yield client


@pytest.mark.parametrize("prefix", ["", "/drifting"])
@pytest.mark.parametrize(
    ("path", "status"),
    [("/health", 200), ("/metrics", 200), ("/openapi.json", 200), ("/drift/run", 200),
     ("/monitoring", 404), ("/drift/latest", 404), ("/nothing", 404)],
)  # fmt: skip
def test_the_monitor_is_answered_like_the_service(
    client: TestClient, prefix: str, path: str, status: int
) -> None:
    for method in ("GET", "HEAD"):
        answer = client.request(method, prefix + path)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert bool(answer.content) == (method == "GET")
        assert int(answer.headers["content-length"]) > 0
    if status == 404:
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_monitor_names_its_methods_and_its_path(client: TestClient) -> None:
    assert client.options("/drift/run").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert client.delete("/drift/run").status_code == 405
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/drifting"}]
    redirect = client.get("/drifting/health/", follow_redirects=False)
    assert (redirect.status_code, redirect.headers["location"]) == (307, "../health")
