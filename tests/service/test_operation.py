"""Starting and stopping, versions, headers and counters."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from shelfmark.errors import ShelfmarkError
from shelfmark.models.registry import Registry
from shelfmark.monitoring.prediction_log import PredictionLog
from shelfmark.service import monitor
from shelfmark.service.app import create_app
from shelfmark.service.batching import Batcher
from shelfmark.service.model_slot import ModelSlot
from shelfmark.service.settings import Settings
from shelfmark.service.workers.board import Overview, Wanted, WorkerState
from tests.support.moments import PATIENCE
from tests.support.serving import ROBOT, free_port, log_of, start, wait_until_ready


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to finish on")
def test_sigterm_ends_the_service_cleanly_and_port_is_used(home: Path) -> None:
    port = free_port()
    process = start(home, 0, PORT=str(port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until_ready(process, client)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in log_of(home, port).read_text()


def test_every_answer_has_a_request_id_and_security_headers(client: TestClient) -> None:
    for path in ("/health", "/nothing", "/", "/page/page.css", "/page/palette.css"):
        answer = client.get(path)
        assert len(answer.headers["x-request-id"]) == 32
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    given = client.get("/health", headers={"X-Request-ID": "mine-1"})
    assert given.headers["x-request-id"] == "mine-1"
    forged = client.get("/health", headers={"X-Request-ID": "two words"})
    assert len(forged.headers["x-request-id"]) == 32
    assert client.get("/page/..%2Fservice.py").status_code == 404


def test_requests_and_papers_are_counted(client: TestClient) -> None:
    def count(line: str) -> float:
        page = client.get("/metrics").text.splitlines()
        return sum(float(x.rpartition(" ")[2]) for x in page if x.startswith(line))

    line = 'shelfmark_requests_total{method="POST",route="/predict",status="200"}'
    before = count(line), count("shelfmark_papers_total")
    client.post("/predict", json={"papers": [{"text": ROBOT}, {"text": ""}]})
    assert (count(line), count("shelfmark_papers_total")) == (before[0] + 1, before[1] + 2)
    assert 'shelfmark_model{version="quick"} 1.0' in client.get("/metrics").text


def test_the_admin_key_loads_another_version(home: Path, client: TestClient) -> None:
    def load(version: str, key: str | None = "admin-key-of-tests") -> Any:
        headers = {} if key is None else {"X-Admin-Key": key}
        return client.post("/load", json={"version": version}, headers=headers)

    for key in (None, "", "wrong", "admin-key-of-tests2"):
        assert load("quick", key).status_code == 401
    workers = [{"pid": os.getpid(), "model": "quick"}]
    assert load("quick").json() == {"status": "ready", "model": "quick", "workers": workers}
    missing = load("nothing-here")
    assert missing.status_code == 409
    assert str(home) not in missing.text
    assert load("../quick").status_code == 422
    assert client.post("/predict", json={"text": ROBOT}).json()["model"] == "quick"


@pytest.mark.parametrize(
    "reason", [MemoryError(), OSError(24, "Too many open files"), RuntimeError("at /secret")],
    ids=lambda reason: type(reason).__name__,
)  # fmt: skip
def test_whatever_opening_a_version_raises_is_409(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, reason: Exception
) -> None:
    def fail(registry: Registry, version: str, digest: str) -> Any:
        raise reason

    monkeypatch.setattr(Registry, "open", fail)
    answer = client.post(
        "/load", json={"version": "quick"}, headers={"X-Admin-Key": "admin-key-of-tests"}
    )
    assert answer.status_code == 409
    assert type(reason).__name__ in answer.json()["detail"]
    assert "secret" not in answer.text
    assert client.get("/ready").json() == {"status": "ready", "model": "quick"}
    assert client.post("/predict", json={"text": ROBOT}).json()["model"] == "quick"


def test_a_load_that_not_all_workers_follow_is_504_and_names_them(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = WorkerState(4711, "older", 1, "quick is missing or damaged")
    overview = Overview(Wanted("quick", 2), [behind, WorkerState(4712, "quick", 2)])

    async def load(slot: ModelSlot, version: str) -> Overview:
        return overview

    async def look(slot: ModelSlot) -> Overview:
        return overview

    monkeypatch.setattr(ModelSlot, "load", load)
    monkeypatch.setattr(ModelSlot, "overview", look)
    answer = client.post(
        "/load", json={"version": "quick"}, headers={"X-Admin-Key": "admin-key-of-tests"}
    )
    assert answer.status_code == 504
    workers = [
        {"pid": 4711, "model": "older", "problem": "quick is missing or damaged"},
        {"pid": 4712, "model": "quick"},
    ]
    assert answer.json()["workers"] == workers
    assert "4711 (quick is missing or damaged)" in answer.json()["detail"]
    ready = client.get("/ready")
    assert ready.status_code == 200  # it answers, with the model that it has
    assert ready.json() == {
        "status": "ready", "model": "quick", "wanted": "quick", "workers": workers
    }  # fmt: skip
    page = client.get("/metrics").text
    assert "shelfmark_workers_behind 1.0" in page
    assert 'shelfmark_workers{version="older"} 1.0' in page


def test_the_end_closes_log_and_batcher_whatever_fails_before(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    close_batcher, close_log = Batcher.aclose, PredictionLog.close

    async def fail(slot: ModelSlot) -> None:
        raise RuntimeError("the slot fails to stop")

    async def closing_batcher(batcher: Batcher) -> None:
        closed.append("batcher")
        await close_batcher(batcher)
        raise RuntimeError("the batcher fails to close")

    def closing_log(log: PredictionLog, seconds: float) -> None:
        closed.append("log")
        close_log(log, seconds)
        raise RuntimeError("the log fails to close")

    monkeypatch.setattr(ModelSlot, "stop", fail)
    monkeypatch.setattr(Batcher, "aclose", closing_batcher)
    monkeypatch.setattr(PredictionLog, "close", closing_log)
    settings = Settings(models=str(home / "models"), model="quick", log_folder=tmp_path)
    with pytest.raises(RuntimeError), TestClient(create_app(settings)) as client:
        client.post("/predict", json={"text": ROBOT})
    assert closed == ["log", "batcher"]
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".jsonl"


def test_a_start_that_fails_half_way_closes_what_was_opened(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[ModelSlot] = []
    stop = ModelSlot.stop

    async def stopping(slot: ModelSlot) -> None:
        stopped.append(slot)
        await stop(slot)

    monkeypatch.setattr(ModelSlot, "stop", stopping)
    taken = tmp_path / "taken"
    taken.write_text("a file")
    settings = Settings(models=str(home / "models"), model="quick", log_folder=taken)
    with pytest.raises(ShelfmarkError), TestClient(create_app(settings)):
        pass
    assert len(stopped) == 1


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_an_admin_key_that_is_set_but_empty_opens_nothing(
    home: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELFMARK_MODELS", str(home / "models"))
    for name in ("SHELFMARK_ADMIN_KEY", "SHELFMARK_API_KEY", "SHELFMARK_LOG_FOLDER"):
        monkeypatch.setenv(name, key)
    with TestClient(create_app()) as client:
        for headers in ({}, {"X-Admin-Key": ""}, {"X-Admin-Key": " "}):
            answer = client.post("/load", json={"version": "latest"}, headers=headers)
            assert answer.status_code == 404
            assert "disabled" in answer.json()["detail"]
        answer = client.post("/predict", json={"text": ROBOT}, headers={"X-API-Key": "any"})
        assert answer.status_code == 200, "no key is required"
    with TestClient(monitor.create_app()) as client:
        for headers in ({}, {"X-Admin-Key": ""}):
            answer = client.post("/drift/run", headers=headers)
            assert answer.status_code == 404
            assert "no admin key" in answer.json()["detail"]


def test_without_an_admin_key_loading_is_disabled(home: Path) -> None:
    settings = Settings(models=str(home / "models"), model="quick")
    with TestClient(create_app(settings)) as client:
        answer = client.post("/load", json={"version": "quick"}, headers={"X-Admin-Key": ""})
    assert answer.status_code == 404
