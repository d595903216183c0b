"""What wrk prints becomes figures, or an error; the services themselves are a system test's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.serve import wrk
from shelfmark.experiments.benchmarks.serve.rounds import Plan, measure, median_of
from shelfmark.experiments.benchmarks.serve.wrk import Figures, Load
from shelfmark.experiments.benchmarks.servers import start_server

PRINTED = """Running 5s test @ http://127.0.0.1:8000/health
  1 threads and 2 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.33ms  441.76us   3.57ms   71.93%
    Req/Sec     1.47k   137.45     1.67k    60.00%
  1000 requests in 2.00s, 2.32MB read
Requests/sec:   500.00
Transfer/sec:      2.32MB
"""
LINE = (
    '{{"requests":{requests},"duration":2000000,"p50":1250,"p99":2751,'
    '"status":{status},"timeout":{timeout},"socket":{socket}}}\n'
)


def printed(requests: int = 1000, status: int = 0, timeout: int = 0, socket: int = 0) -> str:
    line = LINE.format(requests=requests, status=status, timeout=timeout, socket=socket)
    return PRINTED + line


def test_times_are_milliseconds_and_the_rate_is_that_of_a_second() -> None:
    assert wrk.parse_output(printed()) == Figures(rate=500.0, p50=1.25, p99=2.751)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (printed(status=7), "of 1,000 answers, 7 had an error status"),
        (printed(timeout=1, socket=2), "of 1,000 answers, 1 took more than 10 s, 2 were cut off"),
        (printed(requests=0), "no request was answered"),
        (PRINTED, "wrk printed no figures: '"),
        ("", "wrk printed no figures: ''"),
    ],
)
def test_a_load_that_is_not_answered_has_no_figures(output: str, line: str) -> None:
    with pytest.raises(ShelfmarkError) as caught:
        wrk.parse_output(output)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_missing_wrk_is_one_line_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cases = [("shelfmark serve", Load("/health", 32))]
    with pytest.raises(ShelfmarkError, match="wrk is not installed.*apt-get install wrk"):
        measure({"shelfmark serve": "http://127.0.0.1:9"}, cases, Plan())


def test_a_load_is_named_by_what_is_sent() -> None:
    assert str(Load("/health", 1)) == "GET /health, 1 connection"
    assert str(Load("/predict", 8, Path("bodies"))) == "POST /predict, 8 connections"


def test_the_median_of_the_rounds_is_that_of_each_figure() -> None:
    rounds = [Figures(10, 1.0, 9.0), Figures(30, 3.0, 7.0), Figures(20, 2.0, 8.0)]
    assert median_of(rounds) == Figures(20, 2.0, 8.0)


def test_a_server_that_does_not_start_gives_its_reason() -> None:
    code = "import sys; sys.exit('error: no model here')"
    with (
        pytest.raises(ShelfmarkError, match=r"^the plain app did not start: no model here$"),
        start_server("the plain app", lambda port: [sys.executable, "-c", code], "health"),
    ):
        pass
