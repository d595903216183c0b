"""The commands drift and monitor, as separate processes on a log that a service wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import orjson
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from shelfmark.config.load import load_drift_config
from shelfmark.core import files
from shelfmark.data.sources import sample
from shelfmark.errors import ShelfmarkError
from shelfmark.monitoring import detect
from shelfmark.service import monitor
from shelfmark.service.app import create_app
from shelfmark.service.monitor import MonitorSettings
from shelfmark.service.settings import Settings
from tests.support.moments import PATIENCE, until
from tests.support.serving import free_port
from tests.system.test_tasks import inv

KEY = {"X-Admin-Key": "admin-key-of-tests"}


@pytest.fixture(scope="module")
def log(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a service wrote of papers cut short: 150 lines without texts."""
    folder = tmp_path_factory.mktemp("log")
    chosen = Settings(models=str(home / "models"), model="quick", log_folder=folder)
    papers = [{"title": one.title, "abstract": one.abstract[: len(one.abstract) // 3]}
              for _, one in sample.read_records(None, 150)]  # fmt: skip
    with TestClient(create_app(chosen)) as client:
        assert client.post("/predict", json={"papers": papers}).status_code == 200
    return folder


@pytest.fixture(scope="module")
def reports(home: Path, log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of one run of shelfmark drift."""
    folder = tmp_path_factory.mktemp("reports")
    done = inv("drift", "--log", str(log), "--since", "7d", "--models", str(home / "models"),
               "--reports", str(folder), "--evidently", "domain_papers=100", cwd=home)  # fmt: skip
    assert done.returncode == detect.EXIT_STATUS["drift"] == 2, done.stderr
    assert "Drift in 150 papers" in done.stdout
    return folder


@pytest.fixture
def settings(home: Path, log: Path, tmp_path: Path) -> MonitorSettings:
    return MonitorSettings(
        models=str(home / "models"), model="quick", log_folder=log, reports=tmp_path,
        admin_key=SecretStr("admin-key-of-tests"),
    )  # fmt: skip


@pytest.fixture
def client(settings: MonitorSettings) -> Iterator[TestClient]:
    with TestClient(monitor.create_app(settings)) as client:
        yield client


def test_inv_drift_leaves_a_report_a_page_and_gauges(reports: Path) -> None:
    latest = detect.latest_report(reports)
    assert latest is not None
    assert {path.name for path in latest.iterdir()} == {
        "drift.json", "index.html", "drift.prom", "evidently.html",
    }  # fmt: skip
    report = orjson.loads((latest / "drift.json").read_bytes())
    status = {one["test"]: one["status"] for one in report["tests"]}
    assert (report["verdict"], report["model"]) == ("drift", "quick")
    assert status["words"] == status["text"] == "drift"
    assert status["label"] == status["accuracy"] == "not known"
    assert report["words"]["less"]


def test_the_monitor_shows_the_last_report(reports: Path, settings: MonitorSettings) -> None:
    shown = settings.model_copy(update={"reports": reports})
    with TestClient(monitor.create_app(shown)) as client:
        assert client.get("/drift/latest").json()["verdict"] == "drift"
        page = client.get("/monitoring")
        assert "<svg" in page.text
        assert "script-src" not in page.headers["content-security-policy"]
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        text = client.get("/metrics").text
        values = {x.name: x.samples[0].value for x in text_string_to_metric_families(text)
                  if x.samples}  # fmt: skip
        assert values["shelfmark_drift_alarm"] == 1
        assert values["shelfmark_drift_papers"] == 150
        assert 'shelfmark_drift_score{test="text"}' in text
        assert "shelfmark_requests" in values


def test_without_a_report_all_else_answers(client: TestClient) -> None:
    for path in ("/drift/latest", "/monitoring"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "no report yet" in answer.json()["detail"]
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/metrics").status_code == 200
    assert client.get("/drift/run").json() == {"running": False, "last": None}


def test_a_run_asks_for_the_key_and_a_log(settings: MonitorSettings, client: TestClient) -> None:
    assert client.post("/drift/run").status_code == 401
    assert client.post("/drift/run", headers={"X-Admin-Key": "é".encode()}).status_code == 401
    for off in ({"admin_key": None}, {"log_folder": None}):
        with TestClient(monitor.create_app(settings.model_copy(update=off))) as other:
            assert other.post("/drift/run", headers=KEY).status_code == 404


def test_runs_go_one_at_a_time_and_a_killed_one_leaves_the_last_report(
    home: Path, log: Path, reports: Path
) -> None:
    before = detect.latest_report(reports)
    port = free_port()
    env = {**os.environ, "SHELFMARK_MODELS": str(home / "models"), "SHELFMARK_MODEL": "quick",
           "SHELFMARK_LOG_FOLDER": str(log), "SHELFMARK_ADMIN_KEY": "admin-key-of-tests",
           "SHELFMARK_REPORTS": str(reports), "SHELFMARK_SINCE": "all"}  # fmt: skip
    code = f"from shelfmark.service import monitor; monitor.serve('127.0.0.1', {port})"
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            until(lambda: _answers(client))
            assert client.post("/drift/run", headers=KEY).status_code == 202
            until(lambda: bool(_children(process.pid)))
            (child,) = _children(process.pid)
            os.kill(child, signal.SIGSTOP)
            refused = client.post("/drift/run", headers=KEY)
            assert (refused.status_code, refused.json()["status"]) == (409, 409)
            os.kill(child, signal.SIGKILL)
            until(lambda: not client.get("/drift/run").json()["running"])
            assert client.get("/drift/run").json()["last"]["outcome"] == "failed"
            assert detect.latest_report(reports) == before
            assert client.get("/drift/latest").json()["verdict"] == "drift"
            assert client.post("/drift/run", headers=KEY).status_code == 202
            until(lambda: not client.get("/drift/run").json()["running"])
            assert client.get("/drift/run").json()["last"]["outcome"] == "report"
            assert detect.latest_report(reports) != before
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True,
                          text=True, check=False)  # fmt: skip
    rows = (row.split(None, 1) for row in done.stdout.splitlines())
    return [int(pid) for pid, command in rows if "shelfmark.monitoring.detect" in command]


def test_two_runs_do_not_share_a_folder(home: Path, log: Path, tmp_path: Path) -> None:
    (tmp_path / "drift").mkdir()
    held = files.try_lock(tmp_path / "drift" / ".running")
    assert held is not None
    with held, pytest.raises(ShelfmarkError, match="another run is in progress"):
        detect.detect_drift(home / "models/quick", tmp_path, load_drift_config(), log=str(log))
    assert detect.latest_report(tmp_path) is None


def test_only_the_newest_reports_stay(tmp_path: Path) -> None:
    for day in range(5):
        (tmp_path / f"2026010{day}").mkdir()
    (tmp_path / ".partial-1-x").mkdir()
    detect._forget(tmp_path, 2)
    assert sorted(x.name for x in tmp_path.iterdir()) == [".partial-1-x", "20260103", "20260104"]


def test_an_error_is_one_line_and_status_1(home: Path, tmp_path: Path) -> None:
    words = ["--log", "none", "--reports", str(tmp_path), "--retrain-if", "levl=1"]
    done = inv("drift", *words, cwd=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: levl: no such key; did you mean level?\n"


@pytest.mark.parametrize(
    "given",
    [{}, {"log": "none"}, {"log": "logs", "papers": "file"}, {"papers": "file", "truth": "file"}],
)
def test_what_is_compared_is_one_thing_that_is_there(
    home: Path, tmp_path: Path, given: dict[str, str]
) -> None:
    with pytest.raises(
        ShelfmarkError, match="give --log FOLDER or --papers FILE|no folder or|go with"
    ):
        detect.detect_drift(home / "models/quick", tmp_path, load_drift_config(), **given)
    assert detect.latest_report(tmp_path) is None
