"""`inv bench serve` on real services, for a moment, and its errors; no time is asserted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from shelfmark.core import environment
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.serve import apps, papers, run, wrk
from shelfmark.experiments.benchmarks.serve.rounds import Plan
from shelfmark.experiments.benchmarks.serve.run import Subject
from shelfmark.experiments.benchmarks.serve.wrk import Load
from tests.conftest import QUICK, ROOT, paths_in
from tests.support.http_server import http_server
from tests.support.serving import free_port

# .ci/run installs it: a skip there would hide that nothing is tested.
with_wrk = pytest.mark.skipif(
    shutil.which("wrk") is None and not environment.read("CI"), reason="wrk is not installed"
)
MOMENT = Plan(rounds=1, seconds=1, warm_up=1, papers=20, compared=100)


class Refusing(BaseHTTPRequestHandler):
    """Answers every other request by 503."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Refusing.count += 1
        body = b"{}" if Refusing.count % 2 else b"busy"
        self.send_response(200 if Refusing.count % 2 else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with http_server(Refusing) as url:
        yield url


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    return papers.write([{"title": str(number), "abstract": ""} for number in range(3)],
                        tmp_path / "bodies.jsonl")  # fmt: skip


@with_wrk
def test_three_services_side_by_side(home: Path) -> None:
    before = sorted((home / "models").iterdir())
    table = run.bench_serve([*QUICK, *paths_in(home), "also=quick"], MOMENT)
    rows = {row.what: row for row in table}
    named = [row for row in rows if not row.startswith(" ")]
    assert re.fullmatch(r"measured, [\d,]+ training papers: accuracy", named[0])
    assert named[1:6] == [
        "GET /health, 1 connection", "GET /health, 32 connections", "POST /predict, 1 connection",
        "POST /predict, 8 connections", "POST /predict, 32 connections",
    ]  # fmt: skip
    several = run.SEVERAL if run.CORES > 1 else None
    loads = [f"POST /predict, {count} connections{several}" for count in (8, 32) if several]
    lists = [f"POST /predict, 4 connections{more}: lists of 64" for more in ("", several)
             if more is not None]  # fmt: skip
    assert named[6 : 6 + len(loads) + len(lists)] == [*loads, *lists]
    for name in loads:
        assert rows[name].beside.endswith(f"the plain app{several}")
    second = named[6 + len(loads) + len(lists)]
    assert re.fullmatch(r"POST /predict, 1 connection: quick, \d+ categories", second)
    for name, whose in zip(named[1:6], ["the empty app"] * 2 + ["the plain app"] * 3, strict=True):
        assert re.fullmatch(r"[\d,]+ requests/s", rows[name].here)
        assert re.fullmatch(rf"[\d,]+ requests/s, {whose}", rows[name].beside)
        assert re.fullmatch(r"(1/)?\d+\.\dx?", rows[name].ratio)
    assert rows["answers to 100 papers in lists"].here == "equal to inv predict's"
    assert re.fullmatch(r"[\d.]+ ms", rows["one paper in process, one thread"].here)
    assert sorted((home / "models").iterdir()) == before  # what is trained is not kept


def test_a_named_model_is_measured_if_it_is_there(home: Path) -> None:
    models = str(home / "models")
    assert run._find_model(["name=quick", f"paths.models={models}"]) == Subject(models, "quick")
    assert run._find_model(["name=other", f"paths.models={models}"]) is None
    assert run._find_model([f"paths.models={models}"]) is None


@with_wrk
def test_a_second_model_that_is_missing_shows_at_once(home: Path) -> None:
    with pytest.raises(ShelfmarkError, match=r"^no model in .*none: train one with shelfmark"):
        run.bench_serve([*QUICK, *paths_in(home), "also=none"], MOMENT)


@with_wrk
def test_an_answer_with_an_error_status_is_no_figure(refusing: str, bodies: Path) -> None:
    with pytest.raises(ShelfmarkError, match=r"^of [\d,]+ answers, [\d,]+ had an error status$"):
        wrk.send(refusing, Load("/predict", 2, bodies), 1)


@with_wrk
def test_a_service_that_is_gone_is_one_line() -> None:
    with pytest.raises(ShelfmarkError, match=r"^wrk: unable to connect to 127\.0\.0\.1.*$"):
        wrk.send(f"http://127.0.0.1:{free_port()}", Load("/health", 1), 1)


def test_an_answer_is_looked_at_before_any_measurement(refusing: str, bodies: Path) -> None:
    with pytest.raises(ShelfmarkError, match=r"^the plain app: POST /predict: 503 busy$"):
        apps.require_answers("the plain app", refusing, "/predict", bodies)


def test_an_app_without_its_model_does_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(ShelfmarkError, match=r"^the plain app did not start: .*plain\.joblib"),
        apps.start_plain(tmp_path),
    ):
        pass


def test_without_wrk_the_command_says_how_to_get_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "bench", "serve"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {wrk.MISSING}\n"
    assert list(tmp_path.iterdir()) == []
