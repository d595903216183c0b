"""The load test on a real service, for a moment, and its errors."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import numpy as np
import orjson
import pytest

from shelfmark.data.sources import sample
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import load
from shelfmark.experiments.benchmarks.load import Budget, LoadTest, PhaseFigures
from tests.support.http_server import http_server
from tests.support.serving import free_port

# Wide enough for any machine: the figures are looked at, not the machine.
WIDE = {
    name: Budget(budget.side, 0.0 if budget.side == "at least" else 1e9)
    for name, budget in load.BUDGETS.items()
}


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("papers") / "papers.jsonl"
    records = itertools.islice(sample.read_records(None, 100), 100)
    lines = [{"title": paper.title, "abstract": paper.abstract} for _, paper in records]
    file.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    return str(file)


class Counting(BaseHTTPRequestHandler):
    """Refuses the second of each five requests, and notes what it answers and when."""

    protocol_version = "HTTP/1.1"
    asked = itertools.count(1)
    counts: ClassVar = {200: 0, 503: 0}
    moments: ClassVar[list[float]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status = 503 if next(self.asked) % 5 == 2 else 200
        self.moments.append(time.perf_counter())
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.counts[status] += 1

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def counting() -> Iterator[str]:
    with http_server(Counting) as url:
        yield url


def figures_of(milliseconds: float, memory: float, errors: int = 0) -> PhaseFigures:
    times = np.full(100, milliseconds)
    return PhaseFigures(times, 100, 1.0, errors, "503 busy" * errors, 0.1, [memory] * 3)


def test_a_short_run_against_a_service_of_its_own(
    home: Path, papers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "BUDGETS", WIDE)
    folders = {"models": str(home / "models"), "reports": str(tmp_path)}
    test = load.run_load_test(file=papers, users=2, seconds=1, model="quick", **folders)
    figures = test.phases
    assert list(figures) == ["health", "predict", "mix", "lists of 64"]
    for one in figures.values():
        assert (one.errors, one.first_error) == (0, "")
        assert len(one.milliseconds) > 0
        # Two users, each of whom waits for one answer at a time, cannot wait for longer.
        assert one.milliseconds.sum() / 1000 <= 2 * one.seconds
        assert set(map(one.percentile, (50, 99))) <= set(one.milliseconds)
        assert one.percentile(50) <= one.percentile(95) <= one.percentile(99)
        assert one.own_cpu > 0
        assert len(one.memory) == (3 if sys.platform == "linux" else 0)
        assert all(mb > 20 for mb in one.memory)
    asked = {name: len(one.milliseconds) for name, one in figures.items()}
    assert [one.papers for one in figures.values()][:2] == [0, asked["predict"]]
    assert figures["mix"].papers >= asked["mix"]
    assert figures["lists of 64"].papers == 64 * asked["lists of 64"]
    table = test.table()
    assert "p99 ms" in table.columns
    assert [row[0] for row in table.rows] == list(figures)
    met = [line for line in test.summary() if line.startswith("met  ")]
    assert len(met) == len(test.ratios()) == len(WIDE) - (sys.platform != "linux")
    test.require_budgets()
    record = orjson.loads((tmp_path / "quick-load" / "metrics.json").read_bytes())
    assert (record["kind"], record["model"], record["synthetic"]) == ("load", "quick", True)
    assert (record["users"], record["workers"], record["papers"]) == (2, 1, 100)
    assert record["phases"]["predict"]["p99_ms"] == figures["predict"].percentile(99)
    assert {name: one["value"] for name, one in record["budgets"].items()} == test.ratios()


def test_the_counts_are_those_of_the_server(papers: str, tmp_path: Path, counting: str) -> None:
    bodies = tmp_path / "bodies"
    bodies.write_bytes(b'{"text":"one"}\n{"papers":[{"text":"one"},{"text":"two"}]}')
    start = time.perf_counter()
    figures = load._run_phase(counting, bodies, 3, 1, None)
    whole = time.perf_counter() - start
    assert {200: len(figures.milliseconds), 503: figures.errors} == Counting.counts
    assert figures.errors > 0
    assert "503" in figures.first_error
    answered = len(figures.milliseconds)
    assert answered <= figures.papers <= 2 * answered
    # Three users, each of whom waits for one answer at a time, cannot wait for longer.
    assert 0 < figures.milliseconds.sum() / 1000 <= 3 * figures.seconds
    assert Counting.moments[-1] - Counting.moments[0] <= figures.seconds <= whole
    assert figures.memory == []


def test_ratios_within_and_past_their_budgets() -> None:
    good = {
        "health": figures_of(10, 100),
        "predict": figures_of(20, 100),
        "lists of 64": PhaseFigures(np.full(9, 50.0), 576, 1.0, 0, "", 0.95, [100, 120, 109]),
    }
    within = LoadTest("good", good)
    within.require_budgets()
    summary = "\n".join(within.summary())
    assert "NOT MET" not in summary
    assert "memory at the end over that after warm-up 1.09 (budget: at most 1.1)" in summary
    assert "lists of 64: the load generator itself may have been the limit" in summary
    past = LoadTest("bad", {**good, "predict": figures_of(20, 100, errors=1)})
    with pytest.raises(ShelfmarkError) as caught:
        past.require_budgets()
    assert str(caught.value) == "past the budget: errors 1 (budget: at most 0); predict: 503 busy"
    assert "NOT MET errors 1 (budget: at most 0)" in past.summary()


def test_a_record_holds_the_budgets_that_are_not_met(tmp_path: Path) -> None:
    slow = dict.fromkeys(("health", "predict", "lists of 64"), figures_of(10, 100, errors=1))
    LoadTest("slow", slow).write({"model": "a"}, tmp_path)
    record = orjson.loads((tmp_path / "metrics.json").read_bytes())
    assert record["budgets"]["errors"] == {
        "value": 3.0, "side": "at most", "limit": 0.0, "met": False
    }  # fmt: skip
    assert record["phases"]["predict"]["first_error"] == "503 busy"
    assert record["machine"]["cores"] == os.cpu_count()


def test_without_an_answer_no_ratio_is_met() -> None:
    nothing = PhaseFigures(np.array([]), 0, 1.0, 3, "refused", 0.1, [])
    figures = dict.fromkeys(("health", "predict", "lists of 64"), nothing)
    test = LoadTest("silent", figures)
    assert len(test.ratios()) == 4
    with pytest.raises(ShelfmarkError, match="health nan .*single nan .*errors 9.*refused"):
        test.require_budgets()


def test_percentiles_are_times_that_were_measured() -> None:
    times = np.arange(1.0, 101.0)
    one = PhaseFigures(times, 100, 2.0, 0, "", 0.1, [])
    assert [one.percentile(percent) for percent in (50, 95, 99)] == [50, 95, 99]
    assert (one.requests_rate, one.papers_rate) == (50, 50)


def test_the_mix_has_titles_long_texts_and_lists() -> None:
    few = [{"title": f"title {number}", "abstract": "abstract"} for number in range(40)]
    asked = load.make_phases(few)
    kinds = {tuple(sorted(body)) for body in load.make_phases(few * 5)["mix"]}
    assert kinds == {("title",), ("text",), ("papers",), ("abstract", "title")}
    assert [len(body["papers"]) for body in asked["lists of 64"]] == [64]
    assert asked["health"] == []


def test_papers_come_from_the_sample_or_a_file(
    papers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "PAPERS", 150)
    assert len(load._read_papers(papers)) == 100
    assert load._read_papers(papers) == load._read_papers(None)[:100]
    (tmp_path / "titles.jsonl").write_text('{"title": "no abstract"}\nnonsense\n')
    with pytest.raises(ShelfmarkError, match="holds no paper with an abstract"):
        load._read_papers(str(tmp_path / "titles.jsonl"))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:{port}", "refused"),
        ("nonsense", "not an http:// or https:// address"),
        ("http://127.0.0.1:x", "port"),
    ],
)
def test_a_url_that_does_not_answer_is_one_line(papers: str, url: str, why: str) -> None:
    with pytest.raises(ShelfmarkError, match=f"does not answer GET /ready: .*{why}"):
        load.run_load_test(url.format(port=free_port()), papers)


def test_a_service_that_does_not_start_raises_with_its_reason(papers: str, tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="the service did not start: no model in"):
        load.run_load_test(file=papers, models=str(tmp_path))


def test_no_users_are_a_mistake() -> None:
    with pytest.raises(ShelfmarkError, match="should be above 0"):
        load.run_load_test(users=0)


def test_a_load_generator_that_fails_raises_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(load, "USERS", tmp_path / "nowhere.py")
    (tmp_path / "bodies").touch()
    with pytest.raises(ShelfmarkError, match="locust: .*nowhere.py"):
        load._run_phase("http://127.0.0.1:1", tmp_path / "bodies", 1, 1, None)


def test_locust_stays_out_of_this_process() -> None:
    imports = "import sys, shelfmark.experiments.benchmarks.load"
    code = f"{imports}; print({{'gevent', 'locust'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True
    )
    assert done.stdout.strip() == "set()"
