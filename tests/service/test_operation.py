"""Starting and stopping, versions, headers and counters."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from shelfmark.service.app import create_app
from shelfmark.service.settings import Settings
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
    def load(version: str, key: str | None = "admin") -> Any:
        headers = {} if key is None else {"X-Admin-Key": key}
        return client.post("/load", json={"version": version}, headers=headers)

    for key in (None, "", "wrong", "admin2"):
        assert load("quick", key).status_code == 401
    workers = [{"pid": os.getpid(), "model": "quick"}]
    assert load("quick").json() == {"status": "ready", "model": "quick", "workers": workers}
    missing = load("nothing-here")
    assert missing.status_code == 409
    assert str(home) not in missing.text
    assert load("../quick").status_code == 422
    assert client.post("/predict", json={"text": ROBOT}).json()["model"] == "quick"


def test_without_an_admin_key_loading_is_disabled(home: Path) -> None:
    settings = Settings(models=str(home / "models"), model="quick")
    with TestClient(create_app(settings)) as client:
        answer = client.post("/load", json={"version": "quick"}, headers={"X-Admin-Key": ""})
    assert answer.status_code == 404
