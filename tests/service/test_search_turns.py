"""Searches take turns, delay no other route, and cost nothing once nobody waits for them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from shelfmark.embeddings.artifact import OpenEncoder
from tests.support import hashed_encoder, indexes
from tests.support.indexed_service import (
    HeldSearches,
    metric,
    settings_of,
    wait_for_index,
)
from tests.support.indexes import paper_records
from tests.support.moments import PATIENCE, until
from tests.support.serving import ROBOT
from tests.support.threaded_service import threaded_service

SMALL = {"text": "galaxy", "k": 1}
LARGE = {"searches": [{"text": "robot"}] * 64}
ONE_THREAD = {"workers": 256}  # as many as there are share the cores


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        hashed_encoder.register(patch)
        folder = tmp_path_factory.mktemp("indexed")
        indexes.save_encoder(folder)
        indexes.build(folder, paper_records(range(40)))
        yield folder


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldSearches]:
    held = HeldSearches(monkeypatch)
    yield held
    held.release()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def post(client: httpx.Client, body: object) -> httpx.Response:
    return client.post("/search", json=body)


def in_flight(client: httpx.Client) -> float:
    return metric(client, "shelfmark_requests_in_flight ")


def test_searches_delay_no_other_route(
    home: Path, folder: Path, held: HeldSearches, pool: ThreadPoolExecutor
) -> None:
    with threaded_service(settings_of(home, folder)) as client:
        wait_for_index(client)
        held.holds = True
        searches = [pool.submit(post, client, SMALL) for _ in range(12)]
        until(lambda: in_flight(client) == 12)
        assert client.get("/health").status_code == 200
        assert client.get("/ready").json()["index"]["status"] == "ready"
        assert client.post("/predict", json={"text": ROBOT}).status_code == 200
        held.release()
        assert {one.result(PATIENCE).status_code for one in searches} == {200}


def test_a_small_search_is_answered_before_large_lists_end(
    home: Path, folder: Path, held: HeldSearches, pool: ThreadPoolExecutor
) -> None:
    with threaded_service(settings_of(home, folder, **ONE_THREAD)) as client:
        wait_for_index(client)
        held.holds = True
        others = [pool.submit(post, client, LARGE) for _ in range(6)]
        until(lambda: in_flight(client) == 6)
        small = pool.submit(post, client, SMALL)
        until(lambda: in_flight(client) == 7)
        for number in range(1, 5):  # the one in progress, the oldest request's, and its own
            held.wait_for(number)
            held.release_one()
        assert small.result(PATIENCE).status_code == 200
        assert not any(other.done() for other in others)
        held.release()
        assert {other.result(PATIENCE).status_code for other in others} == {200}


def test_no_further_search_runs_for_a_client_that_has_gone(
    home: Path, folder: Path, held: HeldSearches
) -> None:
    body = json.dumps(LARGE).encode()
    head = f"POST /search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" \
           f"Content-Length: {len(body)}\r\n\r\n"  # fmt: skip
    with threaded_service(settings_of(home, folder, **ONE_THREAD)) as client:
        wait_for_index(client)
        held.holds = True
        with socket.create_connection((client.base_url.host, client.base_url.port)) as gone:
            gone.sendall(head.encode() + body)
            held.wait_for(1)
        until(lambda: 'route="/search",status="499"' in client.get("/metrics").text)
        held.release_one()
        held.release()
        assert post(client, SMALL).status_code == 200
        assert [search.text for search in held.searches] == ["robot"]


def test_a_search_that_takes_too_long_gets_504(
    home: Path, folder: Path, held: HeldSearches
) -> None:
    with threaded_service(settings_of(home, folder, request_seconds=1)) as client:
        wait_for_index(client)
        held.holds = True
        late = post(client, LARGE)
        assert late.status_code == 504
        held.release()


def test_a_busy_service_refuses_searches_and_says_when_to_retry(
    home: Path, folder: Path, held: HeldSearches, pool: ThreadPoolExecutor
) -> None:
    with threaded_service(settings_of(home, folder, max_in_flight=1)) as client:
        wait_for_index(client)
        held.holds = True
        first = pool.submit(post, client, SMALL)
        held.wait_for(1)
        busy = post(client, SMALL)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
        held.release()
        assert first.result(PATIENCE).status_code == 200


def test_texts_of_a_large_list_are_encoded_in_slices(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = OpenEncoder.encode

    def count(encoder: OpenEncoder, texts: Any, size: int | None = None) -> Any:
        encoded.append(len(texts))
        return encode(encoder, texts, size)

    with threaded_service(settings_of(home, folder)) as client:
        wait_for_index(client)
        monkeypatch.setattr(OpenEncoder, "encode", count)
        papers = [{"text": f"robot {number} " * 100} for number in range(64)]
        answer = client.post("/embed", json={"papers": papers})
        assert len(answer.json()["vectors"]) == 64
    assert sum(encoded) == 64
    assert max(encoded) < 20
