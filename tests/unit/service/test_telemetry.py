"""The metrics: their number is bounded, whatever clients send and however long workers live."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shelfmark.service import telemetry
from shelfmark.service.telemetry import FILE_BYTES, MAX_CATEGORIES, Telemetry, merge_dead_worker
from shelfmark.service.workers.board import METRICS_FOLDER, Overview, Wanted, WorkerState
from tests.conftest import ROOT

# Every series that the service can make: its routes, and all statuses and methods with each.
ALL_SERIES = """
from http import HTTPStatus
from shelfmark.service import telemetry
from shelfmark.service.app import create_routes
from shelfmark.service.prediction_service import PredictionService
from shelfmark.service.settings import Settings
service = PredictionService(Settings())
worker = service.telemetry
paths = {route.path for route in create_routes(service).routes} | {"none"}
for path in paths:
    for status in [*map(int, HTTPStatus), 499]:
        for method in [*telemetry.METHODS, "BREW"]:
            worker.count_request(method, path, str(status), 0.1)
for number in range(2 * telemetry.MAX_CATEGORIES):
    worker.count_category(f"{number:064}")
for outcome in ("unsure", "confident", "refused"):
    worker.papers.labels(outcome).inc()
worker.in_flight.inc()
"""


def lines_of(text: bytes, start: str) -> list[str]:
    return [line for line in text.decode().splitlines() if line.startswith(start)]


def value_of(text: bytes, start: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in lines_of(text, start))


def count_in_a_process(folder: Path, code: str) -> int:
    """Run code in a process that counts in a folder, and return its id."""
    process = subprocess.run(
        [sys.executable, "-c", f"import os\n{code}\nprint(os.getpid())"], cwd=ROOT, check=True,
        capture_output=True, text=True, env={**os.environ, METRICS_FOLDER: str(folder)},
    )  # fmt: skip
    return int(process.stdout)


def test_methods_that_http_does_not_define_are_one_series() -> None:
    metrics = Telemetry()
    for number in range(2000):
        metrics.count_request(f"ODD{number}", "/predict", "405", 0.1)
    metrics.count_request("POST", "/predict", "200", 0.1)
    counted = lines_of(metrics.exposition(), "shelfmark_requests_total")
    assert counted == [
        'shelfmark_requests_total{method="other",route="/predict",status="405"} 2000.0',
        'shelfmark_requests_total{method="POST",route="/predict",status="200"} 1.0',
    ]


def test_categories_of_ever_other_models_are_bounded() -> None:
    metrics = Telemetry()
    for number in range(10 * MAX_CATEGORIES):
        metrics.count_category(f"label {number}")
    metrics.count_category("x" * 100_000)
    text = metrics.exposition()
    assert len(lines_of(text, "shelfmark_categories_total")) == MAX_CATEGORIES + 1
    assert value_of(text, "shelfmark_categories_total") == 10 * MAX_CATEGORIES + 1
    assert len(text) < 100_000


def test_models_are_counted_by_the_versions_served_now() -> None:
    metrics = Telemetry()
    for number in range(1000):
        states = [WorkerState(1, f"v{number}", number), WorkerState(2, "old", 0, "it failed")]
        text = metrics.exposition(Overview(Wanted(f"v{number}", number), states))
    assert lines_of(text, "shelfmark_model") == [
        'shelfmark_model{version="v999"} 1.0',
        'shelfmark_model{version="old"} 1.0',
        'shelfmark_model_wanted{version="v999"} 1.0',
    ]
    assert lines_of(text, "shelfmark_workers") == [
        'shelfmark_workers{version="v999"} 1.0',
        'shelfmark_workers{version="old"} 1.0',
        "shelfmark_workers_behind 1.0",
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not reserve the space of a file")
def test_the_files_of_a_worker_never_grow_and_their_space_is_reserved(tmp_path: Path) -> None:
    pid = count_in_a_process(tmp_path, ALL_SERIES)
    for kind, size in FILE_BYTES.items():
        status = (tmp_path / f"{kind}_{pid}.db").stat()
        assert status.st_size == size
        assert status.st_blocks * 512 >= size


def test_hundreds_of_dead_workers_keep_their_counts_in_as_many_files_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "FILE_BYTES", dict.fromkeys(FILE_BYTES, 1 << 16))
    code = (
        "from shelfmark.service.telemetry import Telemetry; worker = Telemetry()\n"
        "worker.count_request('GET', '/health', '200', 0.1); worker.in_flight.inc()\n"
    )
    pid = count_in_a_process(tmp_path, code)
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    for dead in range(10_000_000, 10_000_200):  # above all process ids
        for path in list(tmp_path.glob(f"*_{pid}.db")):
            shutil.copy(path, path.with_name(path.name.replace(str(pid), str(dead))))
        merge_dead_worker(tmp_path, dead)
    merge_dead_worker(tmp_path, 10_000_000)  # again, which changes nothing
    assert {path.name for path in tmp_path.glob("*.db")} == {
        "counter_0.db", "histogram_0.db",
        *(f"{kind}_{pid}.db" for kind in FILE_BYTES),
    }  # fmt: skip
    page = count_page(tmp_path)
    line = 'shelfmark_requests_total{method="GET",route="/health",status="200"}'
    assert value_of(page, line) == 201
    assert value_of(page, 'shelfmark_request_seconds_bucket{le="+Inf",route="/health"}') == 201
    assert value_of(page, "shelfmark_requests_in_flight") == 1


def count_page(folder: Path) -> bytes:
    code = (
        "import sys; from shelfmark.service.telemetry import Telemetry\n"
        "sys.stdout.buffer.write(Telemetry().exposition())"
    )
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True,
        env={**os.environ, METRICS_FOLDER: str(folder)},
    ).stdout  # fmt: skip
