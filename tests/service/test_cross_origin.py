"""The headers by which pages of other sites may read the answers, on every kind of answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest
from pydantic import SecretStr

from shelfmark.service.protocol import connection
from shelfmark.service.settings import Settings
from tests.support.moments import FOREVER
from tests.support.raw_http import RawAnswer, request, send
from tests.support.serving import ROBOT
from tests.support.threaded_service import HeldModel, threaded_service

ORIGIN = "https://lab.example"
FROM = f"Origin: {ORIGIN}"
JSON = "Content-Type: application/json"
SECRET = "right-and-long-enough"
KEY = f"X-API-Key: {SECRET}"
POISON = "poison"
Serve = Callable[..., httpx.Client]


@pytest.fixture
def held_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldModel]:
    held = HeldModel(monkeypatch, POISON)
    yield held
    held.release()


def settings(home: Path, **values: object) -> Settings:
    chosen = {
        "models": str(home / "models"),
        "model": "quick",
        "request_seconds": FOREVER,
        "api_key": SecretStr(SECRET),
        "max_body_bytes": 2048,
        "cors_origins": [ORIGIN],
    }
    return Settings.model_validate(chosen | values)


def post(*headers: str, body: bytes = b'{"text": "a robot"}', path: str = "/predict") -> bytes:
    return request("POST", path, FROM, JSON, KEY, *headers, body=body)


REQUESTS = {
    200: post(),
    204: request("OPTIONS", "/predict", FROM),
    307: request("GET", "/docs/", FROM),
    400: post(body=b"").replace(
        b"Host", b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\nHost"
    ),
    401: request("POST", "/predict", FROM, JSON, body=b"{}"),
    404: request("GET", "/nothing", FROM),
    405: request("DELETE", "/predict", FROM),
    413: post(body=b" " * 2049),
    415: post("Content-Encoding: br"),
    422: post(body=b'{"text": "Poincar\xe9"}'),
    431: request("GET", "/health", FROM, "X-Long: " + 70_000 * "x"),
    500: post(body=b'{"text": "%b"}' % POISON.encode()),
    501: request("POST", "/predict", FROM, "Transfer-Encoding: gzip"),
}


def check_readable(answer: RawAnswer) -> None:
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["vary"] == "Origin"
    readable = answer.headers["access-control-expose-headers"].split(", ")
    assert {"Retry-After", "X-Request-ID"} <= set(readable)
    if answer.status >= 400:
        problem = json.loads(answer.body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["status"] == answer.status
        assert problem["detail"]
        assert problem["title"]


@pytest.mark.parametrize("status", REQUESTS)
def test_every_kind_of_answer_can_be_read(home: Path, held_model: HeldModel, status: int) -> None:
    held_model.release()
    with threaded_service(settings(home)) as client:
        answer = send(client, REQUESTS[status])
        other = send(client, REQUESTS[status].replace(ORIGIN.encode(), b"https://other.example"))
    assert answer.status == other.status == status
    check_readable(answer)
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "data",
    [
        b"GET /health HTTP/1.1\r\nOrigin: https://lab.example\r\nbroken\r\n\r\n",
        b"GET /health HTTP/1.1\r\norigin:https://lab.example \r\nHost : x\r\n\r\n",
        b"GET /he alth HTTP/1.1\r\nORIGIN: https://lab.example\r\n\r\n",
        post("Transfer-Encoding: chunked", body=b"").replace(b"\r\n\r\n", b"\r\n\r\nno chunk\r\n"),
    ],
)
def test_what_is_no_request_is_a_problem_that_its_page_can_read(home: Path, data: bytes) -> None:
    with threaded_service(settings(home)) as client:
        answer = send(client, data)
    assert answer.status == 400
    check_readable(answer)
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("status", [400, 431, 501])
def test_what_comes_in_many_pieces_and_is_no_request_can_be_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(connection, "READ_BYTES", 16)
    broken = b"GET /health HTTP/1.1\r\nOrigin: https://lab.example\r\nwithout a colon\r\n\r\n"
    with threaded_service(settings(home)) as client:
        answer = send(client, broken if status == 400 else REQUESTS[status])
        no_chunk = post("Transfer-Encoding: chunked", body=b"") + b"this is no chunk\r\n"
        in_body = send(client, no_chunk)
    assert answer.status == status
    assert in_body.status == 400
    check_readable(answer)
    check_readable(in_body)


def test_a_body_that_is_too_large_only_in_the_end_can_be_read(home: Path) -> None:
    chunks = 3 * (b"400\r\n" + 1024 * b" " + b"\r\n") + b"0\r\n\r\n"
    with threaded_service(settings(home)) as client:
        answer = send(client, post("Transfer-Encoding: chunked", body=b"") + chunks)
    assert answer.status == 413
    check_readable(answer)


def test_a_busy_service_tells_other_pages_when_to_ask_again(
    home: Path, held_model: HeldModel
) -> None:
    with threaded_service(settings(home, max_in_flight=1)) as client, ThreadPoolExecutor(1) as pool:
        headers = {"X-API-Key": SECRET}
        first = pool.submit(client.post, "/predict", json={"text": ROBOT}, headers=headers)
        held_model.wait_until_called()
        answer = send(client, post())
        held_model.release()
        assert first.result().status_code == 200
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    check_readable(answer)


def test_no_memory_and_no_time_can_be_read(home: Path, held_model: HeldModel) -> None:
    with threaded_service(settings(home, buffer_bytes=1024)) as client:
        answer = send(client, post(body=b" " * 2000))
        assert answer.status == 503
        check_readable(answer)
    with threaded_service(settings(home, request_seconds=0.3)) as client:
        answer = send(client, post())
        assert answer.status == 504
        check_readable(answer)
        held_model.release()


PREFLIGHT = ("Access-Control-Request-Method: POST",
             "Access-Control-Request-Headers: content-type,x-api-key,content-encoding")  # fmt: skip


def test_a_preflight_request_names_what_may_be_sent(home: Path) -> None:
    with threaded_service(settings(home)) as client:
        answer = send(client, request("OPTIONS", "/predict", FROM, *PREFLIGHT))
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST"
        assert "X-API-Key" in answer.headers["access-control-allow-headers"]
        assert "X-Admin-Key" not in answer.headers["access-control-allow-headers"]
        assert answer.headers["vary"].startswith("Origin, Access-Control-Request-Method")


@pytest.mark.parametrize(
    ("origin", "asked", "detail"),
    [
        ("https://other.example", PREFLIGHT, "SHELFMARK_CORS_ORIGINS does not list this origin."),
        (ORIGIN, ("Access-Control-Request-Method: DELETE",), "may send GET, HEAD and POST with"),
        (ORIGIN, (PREFLIGHT[0], "Access-Control-Request-Headers: x-admin-key"), "X-API-Key"),
        (ORIGIN, (*PREFLIGHT, "Access-Control-Request-Private-Network: true"), "private network"),
    ],
)
def test_a_preflight_request_for_more_is_a_problem(
    home: Path, origin: str, asked: tuple[str, ...], detail: str
) -> None:
    with threaded_service(settings(home)) as client:
        answer = send(client, request("OPTIONS", "/load", f"Origin: {origin}", *asked))
    assert answer.status == 400
    assert detail in json.loads(answer.body)["detail"]
    assert ("access-control-allow-origin" in answer.headers) == (origin == ORIGIN)


@pytest.mark.parametrize("listed", ["*", "https://LAB.example", "https://lab.example:443"])
def test_an_origin_may_be_listed_in_other_ways(home: Path, listed: str) -> None:
    with threaded_service(settings(home, cors_origins=[listed])) as client:
        for data in (REQUESTS[401], REQUESTS[431]):
            allowed = send(client, data).headers["access-control-allow-origin"]
            assert allowed == ("*" if listed == "*" else ORIGIN)


def test_without_listed_origins_no_answer_has_the_headers(home: Path) -> None:
    with threaded_service(settings(home, cors_origins=[])) as client:
        for status in (200, 404, 415, 431):
            assert "access-control-allow-origin" not in send(client, REQUESTS[status]).headers
        answer = send(client, request("OPTIONS", "/predict", FROM, *PREFLIGHT))
        assert (answer.status, answer.headers["allow"]) == (204, "OPTIONS, POST")
