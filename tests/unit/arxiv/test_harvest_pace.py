"""The pace of requests to arXiv: one in three seconds, later on request, from one connection."""

from __future__ import annotations

import itertools
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from shelfmark import __version__
from shelfmark.arxiv import oai
from shelfmark.errors import ShelfmarkError
from tests.support import oai_server
from tests.support.oai_server import Fault, Repository
from tests.unit.arxiv.conftest import Clock, fetch


@pytest.mark.parametrize(
    ("contact", "agent"),
    [("", ""), ("https://example.org/us", " (+https://example.org/us)"), ("a@b", " (mailto:a@b)")],
)
def test_the_user_agent_names_the_client(contact: str, agent: str) -> None:
    assert oai.Repository(contact=contact).user_agent == f"shelfmark/{__version__}{agent}"


def test_three_seconds_lie_between_requests_over_restarts_too(
    repository: Repository, tmp_path: Path, clock: Clock
) -> None:
    fetch(repository, tmp_path / "a.jsonl", clock)
    assert clock.waits == [3.0] * 4
    clock.time += 1
    fetch(repository, tmp_path / "b.jsonl", clock)
    assert clock.waits[4:] == [2.0] + [3.0] * 4


def test_the_server_sees_the_interval(repository: Repository, tmp_path: Path, clock: Clock) -> None:
    repository.now = clock.now
    repository.faults = {2: oai_server.broken, 3: oai_server.status(503, Retry_After="0")}
    fetch(repository, tmp_path / "papers.jsonl", clock, interval=0.2)
    times = repository.times
    assert len(times) == 7
    assert min(b - a for a, b in itertools.pairwise(times)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        (oai_server.status(503, Retry_After="120"), 120),
        (oai_server.later(90), 90),
        (oai_server.status(429, Retry_After="7"), 7),
        (oai_server.status(503, Retry_After="1"), 3),  # our own interval stands
        (oai_server.status(503, Retry_After="86400"), oai.LONGEST_WAIT),
        (oai_server.status(503), 3),
        (oai_server.status(500), 3),
        (oai_server.status(502, Retry_After="soon"), 3),
    ],
)
def test_a_busy_server_is_left_alone_as_long_as_it_asks(
    repository: Repository, tmp_path: Path, clock: Clock, fault: Fault, wait: float,
    undisturbed: bytes,
) -> None:  # fmt: skip
    repository.faults = {3: fault}
    fetch(repository, tmp_path / "papers.jsonl", clock)
    assert clock.waits == [3, 3, pytest.approx(wait, abs=1), 3, 3]
    assert (tmp_path / "papers.jsonl").read_bytes() == undisturbed


def test_retry_after_is_obeyed_after_a_restart(
    repository: Repository, tmp_path: Path, clock: Clock
) -> None:
    repository.faults = dict.fromkeys((2, 3), oai_server.status(503, Retry_After="600"))
    with pytest.raises(ShelfmarkError, match="503.*10 papers are kept"):
        fetch(repository, tmp_path / "papers.jsonl", clock, max_faults=1)
    clock.time += 50
    clock.waits.clear()
    repository.faults = {}
    fetch(repository, tmp_path / "papers.jsonl", clock)
    assert clock.waits[0] == pytest.approx(550)


@pytest.mark.parametrize(
    ("header", "date_", "seconds"),
    [
        (None, None, None),
        ("120", None, 120.0),
        (" 0 ", None, 0.0),
        ("-5", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Fri, 20 Nov 2026 12:02:00 GMT", "Fri, 20 Nov 2026 12:00:00 GMT", 120.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", "Fri, 20 Nov 2026 12:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2026 12:02:00 -0000", "Fri, 20 Nov 2026 12:00:00 GMT", 120.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    header: str | None, date_: str | None, seconds: float | None
) -> None:
    assert oai.parse_retry_after(header, date_) == seconds


def test_a_date_without_the_servers_own_is_counted_from_now() -> None:
    asked = oai.parse_retry_after(formatdate(time.time() + 100, usegmt=True), "no date")
    assert asked == pytest.approx(100, abs=5)


def test_one_connection_at_a_time(repository: Repository, tmp_path: Path, clock: Clock) -> None:
    with (
        oai.hold_connection(repository.host, 3.0),
        pytest.raises(ShelfmarkError, match="another harvest from 127.0.0.1:.* is running"),
    ):
        fetch(repository, tmp_path / "papers.jsonl", clock)
    assert repository.asked == []


def test_a_clock_that_was_set_back_makes_nobody_wait_for_a_day(
    repository: Repository, tmp_path: Path, clock: Clock
) -> None:
    fetch(repository, tmp_path / "papers.jsonl", clock)
    clock.time -= 86400
    clock.waits.clear()
    fetch(repository, tmp_path / "papers.jsonl", clock)
    assert clock.waits[0] == oai.LONGEST_WAIT
