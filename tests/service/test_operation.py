"""Starting and stopping, settings, versions and counters."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from shelfmark.errors import ShelfmarkError
from shelfmark.service.app import create_app
from shelfmark.service.server import serve
from shelfmark.service.settings import Settings, settings_table
from tests.conftest import ROOT
from tests.support.moments import PATIENCE
from tests.support.serving import ROBOT, free_port, log_of, start, wait_until_ready


def test_a_start_without_a_model_names_the_command_that_trains_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ShelfmarkError) as error:
        serve("127.0.0.1")
    assert str(error.value) == "no model in models/latest: train one with shelfmark train"


def test_an_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFMARK_MAX_PAPERS", "many")
    with pytest.raises(ShelfmarkError, match="^SHELFMARK_MAX_PAPERS: Input should be"):
        serve("127.0.0.1")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to finish on")
def test_sigterm_ends_it_cleanly_and_port_is_obeyed(home: Path) -> None:
    port = free_port()
    process = start(home, 0, PORT=str(port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_until_ready(process, client)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in log_of(home, port).read_text()


def test_every_setting_is_documented() -> None:
    table = settings_table()
    for name in Settings.model_fields:
        if name not in ("port", "runtime"):
            assert f"`SHELFMARK_{name.upper()}`" in table
    assert "`PORT`" in table
    assert table in (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


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


def test_the_counters_are_those_of_what_was_asked(client: TestClient) -> None:
    def count(line: str) -> float:
        page = client.get("/metrics").text.splitlines()
        return sum(float(x.rpartition(" ")[2]) for x in page if x.startswith(line))

    line = 'shelfmark_requests_total{method="POST",route="/predict",status="200"}'
    before = count(line), count("shelfmark_papers_total")
    client.post("/predict", json={"papers": [{"text": ROBOT}, {"text": ""}]})
    assert (count(line), count("shelfmark_papers_total")) == (before[0] + 1, before[1] + 2)
    assert 'shelfmark_model{version="quick"} 1.0' in client.get("/metrics").text


def test_another_version_is_loaded_by_who_has_the_admin_key(home: Path, client: TestClient) -> None:
    def load(version: str, key: str | None = "admin") -> Any:
        headers = {} if key is None else {"X-Admin-Key": key}
        return client.post("/load", json={"version": version}, headers=headers)

    for key in (None, "", "wrong", "admin2"):
        assert load("quick", key).status_code == 401
    assert load("quick").json() == {"status": "ready", "model": "quick"}
    missing = load("nothing-here")
    assert missing.status_code == 409
    assert str(home) not in missing.text
    assert load("../quick").status_code == 422
    assert client.post("/predict", json={"text": ROBOT}).json()["model"] == "quick"


def test_without_an_admin_key_nothing_is_loaded(home: Path) -> None:
    settings = Settings(models=str(home / "models"), model="quick")
    with TestClient(create_app(settings)) as client:
        answer = client.post("/load", json={"version": "quick"}, headers={"X-Admin-Key": ""})
    assert answer.status_code == 404
