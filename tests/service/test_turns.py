"""Large requests take turns with small ones, and cost nothing once nobody waits for them."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest
from pydantic import SecretStr

from shelfmark.models import artifact
from shelfmark.models.answers import PaperQuery
from shelfmark.models.boosted.classifier import BoostedClassifier
from shelfmark.service.batching import SLICE_COST
from shelfmark.service.limits.cost import query_cost
from shelfmark.service.settings import Settings
from tests.support.moments import FOREVER, PATIENCE, until
from tests.support.serving import ROBOT
from tests.support.threaded_service import HeldModel, threaded_service

SMALL = {"text": "A galaxy with a halo."}
LARGE = {"papers": [{"text": ROBOT * 20}] * 256}
EXPLAINED = {"papers": [{"text": ROBOT}] * 32, "explain": True}


def settings(home: Path, **values: object) -> Settings:
    chosen = {"models": str(home / "models"), "model": "quick", "request_seconds": FOREVER}
    return Settings.model_validate(chosen | values)


@pytest.fixture
def held_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldModel]:
    held = HeldModel(monkeypatch)
    yield held
    held.release()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def post(client: httpx.Client, body: object) -> httpx.Response:
    return client.post("/predict", json=body)


@pytest.mark.parametrize("large", [LARGE, EXPLAINED], ids=["plain", "explained"])
def test_a_small_request_is_answered_before_large_ones_end(
    home: Path, held_model: HeldModel, pool: ThreadPoolExecutor, large: dict[str, object]
) -> None:
    with threaded_service(settings(home)) as client:
        others = [pool.submit(post, client, large) for _ in range(10)]
        until(lambda: in_flight(client) == 10)
        small = pool.submit(post, client, SMALL)
        until(lambda: in_flight(client) == 11)
        for number in range(1, 5):  # the slice in hand, the oldest request's, and its own
            held_model.wait_for_batch(number)
            held_model.release_one()
        assert small.result(PATIENCE).status_code == 200
        assert not any(other.done() for other in others)
        held_model.release()
        assert {other.result(PATIENCE).status_code for other in others} == {200}
    for batch in held_model.batches:
        assert len(batch) == 1 or sum(map(cost_of, batch)) <= SLICE_COST


def cost_of(query: PaperQuery) -> float:
    return query_cost(query, BoostedClassifier.COST)


def in_flight(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    name = "shelfmark_requests_in_flight "
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_no_further_slice_is_computed_for_a_client_that_has_gone(
    home: Path, held_model: HeldModel, pool: ThreadPoolExecutor
) -> None:
    body = json.dumps(LARGE).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" \
           f"Content-Length: {len(body)}\r\n\r\n"  # fmt: skip
    with threaded_service(settings(home)) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as gone:
            gone.sendall(head.encode() + body)
            held_model.wait_until_called()
        until(lambda: 'status="499"' in client.get("/metrics").text)
        check_that_only_a_small_request_is_computed(client, held_model, pool)


def test_no_further_slice_is_computed_after_a_504(
    home: Path, held_model: HeldModel, pool: ThreadPoolExecutor
) -> None:
    with threaded_service(settings(home, request_seconds=1)) as client:
        assert post(client, LARGE).status_code == 504
        check_that_only_a_small_request_is_computed(client, held_model, pool)


def check_that_only_a_small_request_is_computed(
    client: httpx.Client, held_model: HeldModel, pool: ThreadPoolExecutor
) -> None:
    held_model.release()
    pool.submit(post, client, SMALL).result(PATIENCE)
    (small,) = held_model.wait_for_batch(2)
    assert small.abstract == SMALL["text"]
    assert len(held_model.batches) == 2


def test_all_answers_of_a_request_come_from_one_model(
    model: artifact.Model, tmp_path: Path, held_model: HeldModel, pool: ThreadPoolExecutor
) -> None:
    for name in ("quick", "again"):
        card = dataclasses.replace(model.card, name=name)
        artifact.save(dataclasses.replace(model, card=card, about=""), tmp_path / "models")
    with threaded_service(settings(tmp_path, admin_key=SecretStr("admin-key-of-tests"))) as client:
        large = pool.submit(post, client, LARGE)
        held_model.wait_for_batch(1)
        headers = {"X-Admin-Key": "admin-key-of-tests"}
        loaded = client.post("/load", json={"version": "again"}, headers=headers)
        assert loaded.status_code == 200
        held_model.release_one()
        held_model.wait_for_batch(2)
        small = pool.submit(post, client, SMALL)
        until(lambda: in_flight(client) == 2)
        held_model.release()
        answers = large.result(PATIENCE).json()
        assert len(held_model.batches) > 2
        assert answers["model"] == "quick"
        assert {answer["model"] for answer in answers["predictions"]} == {"quick"}
        assert small.result(PATIENCE).json()["model"] == "again"


def test_a_failing_request_fails_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    held = HeldModel(monkeypatch, poison="poison")
    with threaded_service(settings(home)) as client:
        first = pool.submit(post, client, SMALL)
        held.wait_until_called()
        poisoned = pool.submit(post, client, {"papers": [SMALL, {"text": "poison"}]})
        healthy = pool.submit(post, client, {"papers": [SMALL, SMALL]})
        until(lambda: in_flight(client) == 3)
        held.release()
        assert first.result(PATIENCE).status_code == 200
        assert poisoned.result(PATIENCE).status_code == 500
        assert healthy.result(PATIENCE).status_code == 200
    assert len(held.batches[1]) == 4, "both were in one batch"


@pytest.mark.parametrize(
    ("values", "body", "problem"),
    [
        ({}, {"papers": [{"text": "a"}] * 33, "explain": True}, "at most 32 papers with explain"),
        ({"max_total_characters": 1000}, {"papers": [{"text": "x" * 501}] * 2},
         "at most 1,000 characters in all texts together"),
    ],
)  # fmt: skip
def test_a_list_over_a_limit_is_refused(
    home: Path, values: dict[str, object], body: object, problem: str
) -> None:
    with threaded_service(settings(home, **values)) as client:
        answer = post(client, body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "papers", "problem": f"should have {problem}"}]


def test_answers_count_against_the_memory_budget(home: Path) -> None:
    with threaded_service(settings(home, buffer_bytes=60_000)) as client:
        large = post(client, {"papers": [SMALL] * 256, "top_k": 200})
        assert large.status_code == 503
        assert large.headers["retry-after"] == "1"
        assert post(client, SMALL).status_code == 200
