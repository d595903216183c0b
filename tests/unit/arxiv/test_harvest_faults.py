"""Harvests from a real server over real connections, with every fault of a request."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shelfmark import __version__
from shelfmark.errors import ShelfmarkError
from tests.support import oai_server
from tests.support.moments import FOREVER
from tests.support.oai_server import Fault, Held, Repository
from tests.unit.arxiv.conftest import SINCE, Clock, fetch, held, ids, left, token

BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">&b;</OAI-PMH>'
)
FOREIGN = (
    b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">&a;</OAI-PMH>'
)


def test_the_pages_of_a_list_are_followed_to_its_end(
    repository: Repository, tmp_path: Path, clock: Clock
) -> None:
    out = tmp_path / "deep" / "papers.jsonl"
    fetch(repository, out, clock, sets=("cs",), contact="ann@example.org")
    assert ids(out) == [paper.id for paper in repository.papers]
    assert repository.asked[0] == {
        "verb": "ListRecords", "metadataPrefix": "arXivRaw", "from": SINCE, "set": "cs",
    }  # fmt: skip
    assert all(set(asked) == {"verb", "resumptionToken"} for asked in repository.asked[1:])
    assert len(repository.asked) == 5
    assert set(repository.agents) == {f"shelfmark/{__version__} (mailto:ann@example.org)"}
    assert {path.name for path in out.parent.iterdir()} == {
        "papers.jsonl", "papers.jsonl.harvest.json"
    }  # fmt: skip


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (oai_server.broken, "broken XML"),
        (oai_server.cut, "IncompleteRead|cut short|broken XML"),
        (oai_server.hung_up, "closed connection|reset"),
        (oai_server.unzipped_halfway, "ended before"),
        (oai_server.sent(b"no gzip", "gzip"), "Not a gzipped file"),
        (oai_server.sent(b"", "br"), "encoded as 'br'"),
        (oai_server.sent(b""), "broken XML"),
        (oai_server.sent(b"<html><body>Log in here</body></html>"), "not OAI-PMH but 'html'"),
        (oai_server.sent(oai_server.envelope("")), "neither ListRecords nor"),
        (oai_server.sent(oai_server.envelope("<a>" * 60 + "</a>" * 60)), "nested"),
        (oai_server.sent(BOMB), "declares a document type"),
        (oai_server.sent(FOREIGN), "declares a document type"),
        (oai_server.sent(b'<?xml version="1.0" encoding="klingon"?><a/>'), "broken XML"),
    ],
)
def test_a_fault_is_waited_out(
    repository: Repository, tmp_path: Path, clock: Clock, log: Callable[[], str],
    undisturbed: bytes, fault: Fault, said: str, zipped: bool,
) -> None:  # fmt: skip
    repository.faults = {1: fault, 4: fault}
    repository.zipped = zipped
    fetch(repository, tmp_path / "papers.jsonl", clock)
    assert (tmp_path / "papers.jsonl").read_bytes() == undisturbed
    warnings = [line for line in log().splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 2
    assert all(re.search(said, line) for line in warnings), warnings
    assert clock.waits == [3.0] * 6


def test_an_answer_without_an_end_is_refused(
    repository: Repository, tmp_path: Path, clock: Clock
) -> None:
    with pytest.raises(ShelfmarkError, match="longer than 1,000 bytes; nothing was received"):
        fetch(repository, tmp_path / "papers.jsonl", clock, max_faults=1, max_bytes=1000)
    assert left(tmp_path) == set()


def test_a_silent_server_is_given_up(repository: Repository, tmp_path: Path, clock: Clock) -> None:
    woken = threading.Event()
    repository.faults = {2: lambda handler, body: woken.wait(FOREVER) or None}
    fetch(repository, tmp_path / "papers.jsonl", clock, idle_timeout=0.3)
    woken.set()
    assert len(ids(tmp_path / "papers.jsonl")) == 47


def test_after_too_many_faults_what_came_is_kept_and_the_same_command_goes_on(
    repository: Repository, tmp_path: Path, clock: Clock, undisturbed: bytes
) -> None:
    out = tmp_path / "papers.jsonl"
    repository.faults = dict.fromkeys(range(3, 100), oai_server.status(500))
    with pytest.raises(ShelfmarkError) as caught:
        fetch(repository, out, clock, max_faults=4)
    assert "failed 5 times in a row" in str(caught.value)
    assert f"20 papers are kept in {out}.partial, the same command resumes" in str(caught.value)
    assert clock.waits == [3, 3, 3, 6, 12, 24]
    assert left(tmp_path) == {"papers.jsonl.partial"}
    repository.faults, repository.asked = {}, []
    for since, sets in (("2026-11-02", ()), (SINCE, ("cs",))):
        with pytest.raises(ShelfmarkError, match="unfinished harvest of all papers since 2026-11-"):
            fetch(repository, out, clock, since, sets)
    assert repository.asked == []
    fetch(repository, out, clock)
    assert out.read_bytes() == undisturbed
    assert "resumptionToken" in repository.asked[0]
    assert left(tmp_path) == {"papers.jsonl", "papers.jsonl.harvest.json"}


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_refusal_for_good_ends_at_once(
    repository: Repository, tmp_path: Path, clock: Clock, code: int
) -> None:
    repository.faults = {1: oai_server.status(code)}
    with pytest.raises(ShelfmarkError, match=rf"answers {code}.*nothing was received"):
        fetch(repository, tmp_path / "papers.jsonl", clock)
    assert left(tmp_path) == set()


def test_an_error_of_the_protocol_ends_at_once(
    repository: Repository, tmp_path: Path, clock: Clock
) -> None:
    with pytest.raises(ShelfmarkError, match="answers badArgument: start date too early"):
        fetch(repository, tmp_path / "papers.jsonl", clock, "1999-01-01")
    assert len(repository.asked) == 1


def token_of(repository: Repository, page: int) -> str:
    """Return the token that leads to a page, counted from 1."""
    asked = {"verb": "ListRecords", "metadataPrefix": "arXivRaw", "from": SINCE}
    for _ in range(page - 1):
        body = repository.answer(dict(asked)).decode()
        token = body.partition("<resumptionToken")[2].partition(">")[2].partition("<")[0]
        asked = {"verb": "ListRecords", "resumptionToken": token}
    return token


def test_a_dead_token_is_replaced_by_the_last_day(
    repository: Repository, tmp_path: Path, clock: Clock, undisturbed: bytes
) -> None:
    repository.dead = {token_of(repository, 4)}
    fetch(repository, tmp_path / "papers.jsonl", clock)
    assert (tmp_path / "papers.jsonl").read_bytes() == undisturbed
    # Three pages of ten end with the thirtieth paper, of the sixth day.
    asked = [one.get("from") for one in repository.asked]
    assert asked == [SINCE, None, None, None, "2026-11-06", None, None]


def test_a_token_that_outlived_its_day_is_not_asked_with(
    repository: Repository, tmp_path: Path, clock: Clock, undisturbed: bytes
) -> None:
    out = tmp_path / "papers.jsonl"
    repository.faults = {4: oai_server.status(403)}
    with pytest.raises(ShelfmarkError, match="30 papers are kept"):
        fetch(repository, out, clock)
    clock.time += repository.life
    fetch(repository, out, clock)
    assert out.read_bytes() == undisturbed
    assert repository.asked[4]["from"] == "2026-11-06"
    assert [asked.get("from") for asked in repository.asked[5:]] == [None, None]


def test_without_an_order_a_dead_token_means_the_beginning(tmp_path: Path, clock: Clock) -> None:
    papers = list(reversed(held()))
    with oai_server.running(Repository(papers)) as served:
        # This one goes by place, as it has no order of days to go by.
        served._token = lambda asked, skip, page: token(skip + len(page))  # type: ignore[method-assign]
        served.faults = {3: oai_server.sent(oai_server.error("badResumptionToken", "gone"))}
        fetch(served, tmp_path / "papers.jsonl", clock)
        assert [asked.get("from") for asked in served.asked[:4]] == [SINCE, None, None, SINCE]
    assert ids(tmp_path / "papers.jsonl") == [paper.id for paper in papers]


def test_tokens_that_never_live_end_in_one_line(tmp_path: Path, clock: Clock) -> None:
    papers = [Held(f"2611.{i:05d}", "2026-11-05") for i in range(30)]
    with oai_server.running(Repository(papers)) as served:
        served.dead = {token_of(served, 2)}
        with pytest.raises(ShelfmarkError, match="the resumption token is refused"):
            fetch(served, tmp_path / "papers.jsonl", clock, max_faults=3)
    with oai_server.running(Repository(papers)) as served:
        served._token = lambda asked, skip, page: token(0)  # type: ignore[method-assign]
        with pytest.raises(ShelfmarkError, match="the resumption token leads to itself"):
            fetch(served, tmp_path / "other.jsonl", clock, max_faults=3)


def test_a_redirection_is_followed_at_the_same_pace(
    repository: Repository, tmp_path: Path, clock: Clock, undisturbed: bytes
) -> None:
    repository.faults = {1: oai_server.redirected(f"{repository.url}?")}
    fetch(repository, tmp_path / "papers.jsonl", clock)
    assert (tmp_path / "papers.jsonl").read_bytes() == undisturbed
    assert clock.waits == [3.0] * 5
    repository.faults = {7: oai_server.redirected("ftp://127.0.0.1/?")}
    with pytest.raises(ShelfmarkError, match="redirects to 'ftp://.*not followed"):
        fetch(repository, tmp_path / "other.jsonl", clock)
    again = oai_server.redirected(f"{repository.url}?")
    repository.faults = dict.fromkeys(range(8, 100), again)
    with pytest.raises(ShelfmarkError, match="answers 302"):
        fetch(repository, tmp_path / "other.jsonl", clock)


def test_a_missing_network_is_one_line(tmp_path: Path, clock: Clock) -> None:
    with oai_server.running(Repository([])) as gone:
        pass
    with pytest.raises(ShelfmarkError, match=r"127\.0\.0\.1:\d+ cannot be reached \(Connection re"):
        fetch(gone, tmp_path / "new" / "papers.jsonl", clock)
    assert left(tmp_path) == set()
    assert clock.waits == []


def test_a_server_that_goes_away_is_waited_for(tmp_path: Path, clock: Clock) -> None:
    with oai_server.running(Repository(held())) as served:
        served.faults = {2: lambda handler, body: handler.server.socket.close()}
        with pytest.raises(ShelfmarkError, match="10 papers are kept in"):
            fetch(served, tmp_path / "papers.jsonl", clock, max_faults=3)
    assert clock.waits == [3, 3, 6, 12]
