"""The limits of requests: size, time, number, keys and origins."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from shelfmark.service.app import create_app
from shelfmark.service.protocol import connection
from shelfmark.service.settings import Settings
from tests.support.moments import PATIENCE
from tests.support.raw_http import request, send
from tests.support.serving import ROBOT
from tests.support.threaded_service import HeldModel, threaded_service


def test_a_declared_body_over_the_limit_is_refused(server: httpx.Client) -> None:
    answer = server.post("/predict", content=b"x" * (Settings().max_body_bytes + 1))
    assert answer.status_code == 413
    assert answer.json()["title"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_streamed_body_over_the_limit_is_refused(server: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(Settings().max_body_bytes // 65_536 + 2):
            yield b"x" * 65_536
        yield b'"}'

    headers = {"content-type": "application/json"}
    answer = server.post("/predict", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert server.post("/predict", json={"text": ROBOT}).status_code == 200


@pytest.mark.parametrize(
    ("piece", "size", "status"),
    [(1 << 8, 16_000, 200), (1 << 8, 17_000, 431), (1 << 15, 16_000, 200), (1 << 15, 33_000, 431)],
)
def test_headers_are_read_up_to_16_kib_however_they_arrive(
    home: Path, monkeypatch: pytest.MonkeyPatch, piece: int, size: int, status: int
) -> None:
    monkeypatch.setattr(connection, "READ_BYTES", piece)
    with threaded_service(Settings(models=str(home / "models"), model="quick")) as client:
        answer = send(client, request("GET", "/health", f"X-Long: {size * 'x'}"))
    assert answer.status == status


def test_an_api_key_is_required_if_one_is_set(home: Path) -> None:
    chosen = Settings(
        models=str(home / "models"), model="quick", api_key=SecretStr("the key of the tests")
    )
    with TestClient(create_app(chosen)) as client:
        assert client.get("/ready").status_code == 200
        answer = client.post("/predict", json={"text": ROBOT})
        assert answer.status_code == 401
        assert answer.json()["title"] == "Unauthorized"
        for wrong in (b"", b"key", b"the key of the test", "the kéy of the tests".encode()):
            headers = {b"X-API-Key": wrong}
            answer = client.post("/predict", json={"text": ROBOT}, headers=headers)
            assert answer.status_code == 401
        headers = {b"X-API-Key": b"the key of the tests"}
        assert client.post("/predict", json={"text": ROBOT}, headers=headers).status_code == 200


def test_other_origins_are_allowed_only_if_listed(home: Path, client: TestClient) -> None:
    here = {"Origin": "https://example.org"}
    assert "access-control-allow-origin" not in client.get("/health", headers=here).headers
    chosen = Settings(
        models=str(home / "models"), model="quick", cors_origins=["https://example.org"]
    )
    with TestClient(create_app(chosen)) as listed:
        allowed = listed.get("/health", headers=here).headers["access-control-allow-origin"]
        assert allowed == "https://example.org"
        other = listed.get("/health", headers={"Origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers


@pytest.fixture
def held_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldModel]:
    held = HeldModel(monkeypatch)
    yield held
    held.release()


def test_a_busy_service_answers_503_and_when_to_retry(home: Path, held_model: HeldModel) -> None:
    chosen = Settings(models=str(home / "models"), model="quick", max_in_flight=1,
                      request_seconds=PATIENCE)  # fmt: skip
    body = {"text": ROBOT}
    with threaded_service(chosen) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/predict", json=body)
        held_model.wait_until_called()
        busy = client.post("/predict", json=body)
        assert busy.status_code == 503
        assert busy.headers["retry-after"] == "1"
        assert busy.headers["content-type"] == "application/problem+json"
        assert client.get("/health").status_code == 200
        held_model.release()
        assert first.result().status_code == 200
        assert client.post("/predict", json=body).status_code == 200


def test_a_request_that_takes_too_long_gets_504(home: Path, held_model: HeldModel) -> None:
    chosen = Settings(models=str(home / "models"), model="quick", request_seconds=0.3)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 99\r\n\r\n{"
    with threaded_service(chosen) as client:
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address, timeout=PATIENCE) as slow:
            slow.sendall(head)
            assert slow.recv(4096).startswith(b"HTTP/1.1 504 ")
        late = client.post("/predict", json={"text": ROBOT})
        assert late.status_code == 504
        assert late.json()["detail"] == "The answer took too long."
        held_model.release()


def test_a_refusal_lists_at_most_twenty_faults(server: httpx.Client) -> None:
    body = {"text": ROBOT} | {f"unknown {number}": 1 for number in range(1000)}
    answer = server.post("/predict", json=body)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert answer.json()["detail"].endswith("; 980 more faults are not listed")
    assert len(answer.content) < 4096


def test_a_refusal_repeats_the_start_of_a_long_name(server: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    for name in ("x" * 100_000, "\ud800"):
        paper = {"text": ROBOT, name: 1}
        for body in (paper, {"papers": [paper, {"text": ROBOT}]}):
            content = json.dumps(body).encode()
            answer = server.post("/predict", content=content, headers=headers)
            assert answer.status_code == (200 if "papers" in body else 422)
            assert len(answer.content) < 4096
            assert ("xxx" in answer.text) == ("x" in name)


def test_more_values_than_a_list_of_papers_has_are_refused(server: httpx.Client) -> None:
    body = {"text": ROBOT} | {str(number): 1 for number in range(100_000)}
    for many in (body, {"papers": [[]] * 100_000}):
        answer = server.post("/predict", json=many)
        assert answer.status_code == 422
        assert answer.json()["detail"] == "body: should have at most 2,056 values"
