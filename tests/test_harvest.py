"""Harvests from a real server over real connections, with what can go wrong on the way."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from email.utils import formatdate
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark import __version__, config, harvest, oai, pace, preprocess, questions, sources
from shelfmark.errors import ShelfmarkError
from tests import conftest, oai_server
from tests.oai_server import Fault, Held, Repository

ROOT = Path(__file__).parents[1]
SINCE = "2026-11-01"
CREATED = "Mon, 2 Nov 2026 19:18:42 GMT"


@dataclass
class Clock:
    """A time that passes when somebody waits, and only then."""

    time: float = oai_server.NOON
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.waits.append(round(seconds, 3))
        self.time += seconds


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def held(count: int = 47, days: int = 10) -> list[Held]:
    """Return papers, so many of them a day that some pages hold several days."""
    share = -(-count // days)
    return [Held(f"2611.{i:05d}", f"2026-11-{1 + i // share:02d}") for i in range(count)]


@pytest.fixture
def repository() -> Iterator[Repository]:
    with oai_server.running(Repository(held())) as served:
        yield served


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fetch(
    repository: Repository,
    out: Path,
    clock: Clock,
    since: str = SINCE,
    sets: tuple[str, ...] = (),
    **options: Any,
) -> harvest.Harvest:
    asked = oai.Repository(repository.url, **options)
    return harvest.harvest(out, since, sets, asked, pace.Clock(clock.now, clock.sleep))


def read(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def ids(path: Path) -> list[str]:
    return [record["id"] for record in read(path)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a harvest brings that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch, oai_server.running(Repository(held())) as served:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("no_proxy", "127.0.0.1")
        fetch(served, folder / "papers.jsonl", Clock())
    return (folder / "papers.jsonl").read_bytes()


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"cache"}


def test_a_record_has_the_layout_of_the_snapshot(tmp_path: Path, clock: Clock) -> None:
    versions = ("Fri, 09 Oct 2026 01:02:03 GMT", "Mon, 16 Nov 2026 10:00:00 GMT")
    paper = Held("2610.00001", "2026-11-17", ("cs:cs:RO", "cs:cs:LG"), "cs.RO cs.LG",
                 "Arms\n  & legs", "We <train> a $\\pi$.", versions)  # fmt: skip
    old = Held("math/0211159", "2026-11-18", ("math:math:DG",), "math.DG")
    out = tmp_path / "papers.jsonl"
    with oai_server.running(Repository([paper, old])) as served:
        done = fetch(served, out, clock)
    assert read(out)[0] == {
        "id": "2610.00001",
        "submitter": "Ann Öther",
        "authors": "A. N. Other",
        "title": "Arms\n  & legs",
        "comments": "12 pages",
        "journal-ref": None,
        "doi": None,
        "report-no": None,
        "categories": "cs.RO cs.LG",
        "license": None,
        "abstract": "  We <train> a $\\pi$.\n",
        "versions": [
            {"version": "v1", "created": "Fri, 9 Oct 2026 01:02:03 GMT"},
            {"version": "v2", "created": "Mon, 16 Nov 2026 10:00:00 GMT"},
        ],
        "update_date": "2026-11-17",
    }
    assert done.counts.new == 2
    assert done.since == date(2026, 11, 1)
    assert done.day == date(2026, 11, 20)
    first, second = sources.stream("snapshot", out, {})
    assert (first.submitted, first.categories) == (date(2026, 10, 9), ("cs.RO", "cs.LG"))
    assert second.id == "math/0211159"
    [batch] = questions.batches(str(out))
    assert [questions.question(*record).id for record in batch] == ["2610.00001", "math/0211159"]


def test_the_file_is_read_as_data_snapshot(tmp_path: Path, clock: Clock) -> None:
    words = "and so on " * 10
    papers = [
        Held(
            f"2611.{i:05d}",
            "2026-11-02",
            abstract=f"Robot {i} {words}",
            categories="cs.RO" if i % 2 else "cs.CL",
        )
        for i in range(120)
    ]
    with oai_server.running(Repository(papers, size=50)) as served:
        fetch(served, tmp_path / "papers.jsonl", clock)
    source = [
        "data=snapshot",
        f'data.path="{(tmp_path / "papers.jsonl").as_posix()}"',
        "data.min_papers=5",
    ]
    splits = preprocess.prepare(config.load([*source, *conftest.paths_in(tmp_path)]))
    read = [splits.read(name, ["id"]).num_rows for name in ("train", "validation", "test")]
    assert sum(read) == 120


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


@pytest.mark.parametrize(
    ("contact", "agent"),
    [("", ""), ("https://example.org/us", " (+https://example.org/us)"), ("a@b", " (mailto:a@b)")],
)
def test_the_user_agent_says_who_asks(contact: str, agent: str) -> None:
    assert oai.Repository(contact=contact).agent == f"shelfmark/{__version__}{agent}"


def test_three_seconds_lie_between_requests_over_restarts_too(
    repository: Repository, tmp_path: Path, clock: Clock
) -> None:
    fetch(repository, tmp_path / "a.jsonl", clock)
    assert clock.waits == [3.0] * 4
    clock.time += 1
    fetch(repository, tmp_path / "b.jsonl", clock)
    assert clock.waits[4:] == [2.0] + [3.0] * 4


def test_the_server_sees_the_interval(repository: Repository, tmp_path: Path) -> None:
    asked = oai.Repository(repository.url, interval=0.2)
    repository.faults = {2: oai_server.broken, 3: oai_server.status(503, Retry_After="0")}
    harvest.harvest(tmp_path / "papers.jsonl", SINCE, (), asked)
    times = repository.times
    assert len(times) == 7
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.19


@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        (oai_server.status(503, Retry_After="120"), 120),
        (oai_server.later(90), 90),
        (oai_server.status(429, Retry_After="7"), 7),
        (oai_server.status(503, Retry_After="1"), 3),  # our own interval stands
        (oai_server.status(503, Retry_After="86400"), pace.LONGEST),
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
    with pytest.raises(ShelfmarkError, match="503.*10 papers stay"):
        fetch(repository, tmp_path / "papers.jsonl", clock, faults=1)
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
    assert oai.retry_after(header, date_) == seconds


def test_a_date_without_the_servers_own_is_counted_from_now() -> None:
    asked = oai.retry_after(formatdate(time.time() + 100, usegmt=True), "no date")
    assert asked == pytest.approx(100, abs=5)


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">&b;</OAI-PMH>'
)
FOREIGN = (
    b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">&a;</OAI-PMH>'
)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (oai_server.broken, "broken XML"),
        (oai_server.cut, "IncompleteRead|cut short|broken XML"),
        (oai_server.hung_up, "closed connection|reset"),
        (oai_server.unzipped_halfway, "ended before"),
        (oai_server.sent(b"no gzip", "gzip"), "Not a gzipped file"),
        (oai_server.sent(b"", "br"), "packed as 'br'"),
        (oai_server.sent(b""), "broken XML"),
        (oai_server.sent(b"<html><body>Log in here</body></html>"), "no OAI-PMH but 'html'"),
        (oai_server.sent(oai_server.envelope("")), "neither ListRecords nor"),
        (oai_server.sent(oai_server.envelope("<ListRecords><record/></ListRecords>")), "header"),
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
    with pytest.raises(ShelfmarkError, match="longer than 1,000 bytes; nothing came"):
        fetch(repository, tmp_path / "papers.jsonl", clock, faults=1, largest=1000)
    assert left(tmp_path) == set()


def test_a_silent_server_is_given_up(repository: Repository, tmp_path: Path, clock: Clock) -> None:
    woken = threading.Event()
    repository.faults = {2: lambda handler, body: woken.wait(30) or None}
    fetch(repository, tmp_path / "papers.jsonl", clock, silence=0.3)
    woken.set()
    assert len(ids(tmp_path / "papers.jsonl")) == 47


def test_after_too_many_faults_what_came_is_kept_and_the_same_command_goes_on(
    repository: Repository, tmp_path: Path, clock: Clock, undisturbed: bytes
) -> None:
    out = tmp_path / "papers.jsonl"
    repository.faults = dict.fromkeys(range(3, 100), oai_server.status(500))
    with pytest.raises(ShelfmarkError) as caught:
        fetch(repository, out, clock, faults=4)
    assert "failed 5 times in a row" in str(caught.value)
    assert f"20 papers stay in {out}.partial, the same command goes on" in str(caught.value)
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
    with pytest.raises(ShelfmarkError, match=rf"answers {code}.*nothing came"):
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
    with pytest.raises(ShelfmarkError, match="30 papers stay"):
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


def token(skip: int) -> str:
    asked = f"verb=ListRecords&amp;metadataPrefix=arXivRaw&amp;from={SINCE}&amp;skip={skip}"
    return f"<resumptionToken>{asked}</resumptionToken>"


def test_tokens_that_never_live_end_in_one_line(tmp_path: Path, clock: Clock) -> None:
    papers = [Held(f"2611.{i:05d}", "2026-11-05") for i in range(30)]
    with oai_server.running(Repository(papers)) as served:
        served.dead = {token_of(served, 2)}
        with pytest.raises(ShelfmarkError, match="the resumption token is refused"):
            fetch(served, tmp_path / "papers.jsonl", clock, faults=3)
    with oai_server.running(Repository(papers)) as served:
        served._token = lambda asked, skip, page: token(0)  # type: ignore[method-assign]
        with pytest.raises(ShelfmarkError, match="the resumption token leads to itself"):
            fetch(served, tmp_path / "other.jsonl", clock, faults=3)


def test_a_harvest_is_brought_up_to_date(tmp_path: Path, clock: Clock) -> None:
    out = tmp_path / "papers.jsonl"
    with oai_server.running(Repository(held(12, 4))) as served:
        fetch(served, out, clock, sets=("cs",))
        before = out.read_bytes()
        versions = ("Mon, 02 Nov 2026 19:18:42 GMT", "Sat, 21 Nov 2026 08:00:00 GMT")
        second = replace(
            served.papers[3], datestamp="2026-11-21", title="Better", versions=versions
        )
        gone = replace(served.papers[5], datestamp="2026-11-21", deleted=True)
        new = Held("2611.20000", "2026-11-21")
        brief = Held("2611.20001", "2026-11-21", deleted=True)  # it came and went between
        rest = [paper for i, paper in enumerate(served.papers) if i not in (3, 5)]
        served.papers, served.asked = [*rest, second, gone, new, brief], []
        done = fetch(served, out, clock, since="")
    assert served.asked == [
        {"verb": "ListRecords", "metadataPrefix": "arXivRaw", "from": "2026-11-19", "set": "cs"}
    ]
    assert (done.counts.new, done.counts.changed, done.counts.deleted) == (1, 1, 1)
    lines = before.splitlines(keepends=True)
    after = out.read_bytes().splitlines(keepends=True)
    assert after[:3] == lines[:3]
    assert orjson.loads(after[3])["title"] == "Better"
    assert [one["version"] for one in orjson.loads(after[3])["versions"]] == ["v1", "v2"]
    assert after[4] == lines[4]
    assert after[5:-1] == lines[6:]
    assert orjson.loads(after[-1])["id"] == "2611.20000"


def test_a_record_that_comes_twice_counts_once_and_the_later_day_wins(
    tmp_path: Path, clock: Clock
) -> None:
    first = Held("2611.00001", "2026-11-02", title="Old")
    second = replace(first, datestamp="2026-11-09", title="New")
    other = Held("2611.00002", "2026-11-03")
    lost = [Held("2611.00003", "2026-11-04"), Held("2611.00003", "2026-11-10", deleted=True)]
    papers = [first, other, lost[0], second, lost[1], first]
    with oai_server.running(Repository(papers, size=2)) as served:
        served._token = lambda asked, skip, page: token(skip + len(page))  # type: ignore[method-assign]
        fetch(served, tmp_path / "papers.jsonl", clock)
    assert [(one["id"], one["title"]) for one in read(tmp_path / "papers.jsonl")] == [
        ("2611.00001", "New"), ("2611.00002", "Title 2611.00002")
    ]  # fmt: skip


def test_a_later_snapshot_is_not_taken_back(tmp_path: Path, clock: Clock) -> None:
    out = tmp_path / "papers.jsonl"
    mine = [
        {"id": "2611.00001", "title": "Mine", "update_date": "2026-11-30"},
        {"id": "2611.00002", "title": "Mine", "update_date": "2026-11-01"},
    ]
    out.write_bytes(b"\n".join(map(orjson.dumps, mine)) + b"\nno json")
    papers = [Held("2611.00001", "2026-11-02"), Held("2611.00002", "2026-11-02")]
    with oai_server.running(Repository(papers)) as served:
        fetch(served, out, clock)
    lines = out.read_bytes().splitlines()
    assert orjson.loads(lines[0])["title"] == "Mine"
    assert orjson.loads(lines[1])["title"] == "Title 2611.00002"
    assert lines[2:] == [b"no json"]


def test_no_records_are_an_empty_result(
    repository: Repository, tmp_path: Path, clock: Clock
) -> None:
    done = fetch(repository, tmp_path / "papers.jsonl", clock, "2026-11-15")
    assert done.counts.new == 0
    assert (tmp_path / "papers.jsonl").read_bytes() == b""
    fetch(repository, tmp_path / "papers.jsonl", clock, SINCE)
    before = (tmp_path / "papers.jsonl").read_bytes()
    assert len(before.splitlines()) == 47
    fetch(repository, tmp_path / "papers.jsonl", clock, "")
    assert (tmp_path / "papers.jsonl").read_bytes() == before


def test_several_sets_in_one_run(tmp_path: Path, clock: Clock) -> None:
    papers = [
        Held("2611.00001", "2026-11-02", ("cs:cs:AI",)),
        Held("2611.00002", "2026-11-02", ("cs:cs:LG", "stat:stat:ML"), "cs.LG stat.ML"),
        Held("2611.00003", "2026-11-03", ("physics:hep-th",), "hep-th"),
        Held("2611.00004", "2026-11-03", ("stat:stat:ML",), "stat.ML"),
    ]
    out = tmp_path / "papers.jsonl"
    with oai_server.running(Repository(papers, size=1)) as served:
        fetch(served, out, clock, sets=("stat.ML", "cs", "cs"))
        assert ids(out) == ["2611.00002", "2611.00004", "2611.00001"]
        note = orjson.loads((tmp_path / "papers.jsonl.harvest.json").read_bytes())
        assert note["sets"] == {"stat:stat:ML": "2026-11-20", "cs": "2026-11-20"}
        with pytest.raises(ShelfmarkError, match="no harvest of the set physics:hep-th yet"):
            fetch(served, out, clock, "", ("cs", "hep-th"))
        fetch(served, out, clock, SINCE, ("hep-th",))
        assert ids(out)[-1] == "2611.00003"
        served.asked = []
        fetch(served, out, clock, "")
        assert [asked["set"] for asked in served.asked] == ["stat:stat:ML", "cs", "physics:hep-th"]


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("cs", "cs"),
        ("physics", "physics"),
        ("cs.AI", "cs:cs:AI"),
        ("hep-th", "physics:hep-th"),
        ("astro-ph", "physics:astro-ph"),
        ("astro-ph.GA", "physics:astro-ph:GA"),
        ("physics.data-an", "physics:physics:data-an"),
        ("math.MP", "physics:math-ph"),
        ("q-bio.NC", "q-bio:q-bio:NC"),
        ("physics:hep-ph", "physics:hep-ph"),
    ],
)
def test_the_name_of_a_set(name: str, spec: str) -> None:
    assert harvest.spec_of(name) == spec


def test_a_gap_between_harvests_is_told(
    repository: Repository, tmp_path: Path, clock: Clock, log: Callable[[], str]
) -> None:
    fetch(repository, tmp_path / "papers.jsonl", clock)
    clock.time += 5 * 86400
    fetch(repository, tmp_path / "papers.jsonl", clock, "2026-11-23")
    assert "changes from 2026-11-20 to 2026-11-23 will be missing" in log()


def test_a_record_that_is_no_paper_is_left_out_and_told(
    tmp_path: Path, clock: Clock, log: Callable[[], str]
) -> None:
    papers = [
        Held("2611.00001", "2026-11-02"),
        Held("x y", "2026-11-02"),
        Held("2611.00003", "2026-11-02", versions=()),
        Held("2611.00004", "2026-11-02", abstract=" "),
        Held("2611.00005", "2026-11-02", categories=""),
        Held("2611.00006", "2026-11-02"),
    ]
    with oai_server.running(Repository(papers)) as served:
        fetch(served, tmp_path / "papers.jsonl", clock)
    assert ids(tmp_path / "papers.jsonl") == ["2611.00001", "2611.00006"]
    assert "left out not an arXiv identifier: 'x y'" in log()
    assert "left out 2611.00003: no version" in log()
    assert "left out 2611.00004: no title or no abstract" in log()
    assert "left out 2611.00005: no categories" in log()


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


def test_without_a_network_one_line_says_so(tmp_path: Path, clock: Clock) -> None:
    with oai_server.running(Repository([])) as gone:
        pass
    with pytest.raises(ShelfmarkError, match=r"127\.0\.0\.1:\d+ cannot be reached \(Connection re"):
        fetch(gone, tmp_path / "new" / "papers.jsonl", clock)
    assert left(tmp_path) == set()
    assert clock.waits == []


def test_a_server_that_goes_away_is_waited_for(tmp_path: Path, clock: Clock) -> None:
    with oai_server.running(Repository(held())) as served:
        served.faults = {2: lambda handler, body: handler.server.socket.close()}
        with pytest.raises(ShelfmarkError, match="10 papers stay in"):
            fetch(served, tmp_path / "papers.jsonl", clock, faults=3)
    assert clock.waits == [3, 3, 6, 12]


def test_one_connection_at_a_time(repository: Repository, tmp_path: Path, clock: Clock) -> None:
    with (
        pace.keep(repository.host, 3.0),
        pytest.raises(ShelfmarkError, match="another harvest from 127.0.0.1:.* is at work"),
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
    assert clock.waits[0] == pace.LONGEST


@pytest.mark.parametrize(
    ("since", "sets", "options", "line"),
    [
        ("", (), {}, "--since: .* has no harvest of all papers yet: give a day"),
        ("yesterday", (), {}, "--since: 'yesterday' is no day"),
        ("2026-11-21", (), {}, "--since: 2026-11-21 is yet to come"),
        (SINCE, ("cs.AJ",), {}, "--sets: no group, archive or category 'cs.AJ'; did you mean"),
        (SINCE, (), {"contact": "a@b\r\nX: y"}, "--contact: give"),
        (SINCE, (), {"interval": -1.0}, "--interval"),
    ],
)
def test_a_mistake_is_one_line(
    repository: Repository, tmp_path: Path, clock: Clock, since: str, sets: tuple[str, ...],
    options: dict[str, Any], line: str,
) -> None:  # fmt: skip
    with pytest.raises(ShelfmarkError, match=line):
        fetch(repository, tmp_path / "papers.jsonl", clock, since, sets, **options)
    assert repository.asked == []
    assert left(tmp_path) == set()


@pytest.mark.parametrize("url", ["ftp://x/oai", "oai", "http://", "http://x/?a=b", "http://x/ y"])
def test_a_wrong_url_is_one_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(ShelfmarkError, match="--url"):
        harvest.harvest(tmp_path / "papers.jsonl", SINCE, (), oai.Repository(url))


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("papers.jsonl.gz", None, "is to be JSON lines, not .gz"),
        ("papers.parquet", None, "is to be JSON lines, not .parquet"),
        ("notes.txt", b"my notes\n", "is there and holds no papers"),
        ("list.json", b"[1, 2]\n", "is there and holds no papers"),
        ("folder", ..., "is a folder"),
    ],
)
def test_a_file_that_is_no_harvest_is_left_as_it_is(
    repository: Repository, tmp_path: Path, clock: Clock, name: str, content: Any, line: str
) -> None:
    out = tmp_path / name
    if content is ...:
        out.mkdir()
    elif content:
        out.write_bytes(content)
    with pytest.raises(ShelfmarkError, match=line):
        fetch(repository, out, clock)
    assert repository.asked == []
    assert left(tmp_path) == ({name} if content else set())


def test_damaged_notes_are_one_line(repository: Repository, tmp_path: Path, clock: Clock) -> None:
    out, partial = tmp_path / "papers.jsonl", tmp_path / "papers.jsonl.partial"
    fetch(repository, out, clock)
    (tmp_path / "papers.jsonl.harvest.json").write_text('{"sets": 3}')
    with pytest.raises(ShelfmarkError, match=r"harvest\.json: damaged"):
        fetch(repository, out, clock, "")
    partial.write_bytes(b"no database" * 100)
    with pytest.raises(ShelfmarkError, match=r"partial: damaged .*remove it to begin anew"):
        fetch(repository, out, clock)


def command(repository: Repository, out: Path) -> subprocess.Popen[bytes]:
    words = ["harvest", "--since", SINCE, "--sets", "cs", "--out", str(out)]
    words += ["--url", repository.url, "--interval", "0.01"]
    return subprocess.Popen(
        [sys.executable, "-m", "invoke", "--search-root", str(ROOT), *words],
        cwd=out.parent, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_harvest_goes_on_to_the_same_file(
    repository: Repository, tmp_path: Path, undisturbed: bytes
) -> None:
    out, halfway, go = tmp_path / "papers.jsonl", threading.Event(), threading.Event()

    def stall(handler: oai_server.Handler, body: bytes) -> None:
        handler.send(body[:2000], length=len(body))
        halfway.set()
        go.wait(300)

    repository.faults = {4: stall}
    with command(repository, out) as run:
        assert halfway.wait(300)
        run.send_signal(signal.SIGKILL)
        run.wait(60)
    go.set()
    assert left(tmp_path) <= {"papers.jsonl.partial", "papers.jsonl.partial-journal"}
    with command(repository, out) as run:
        said, problems = run.communicate(timeout=300)
    assert run.returncode == 0, problems
    assert out.read_bytes() == undisturbed
    assert repository.asked[4] == repository.asked[3]
    assert b"47 new papers, 0 changed, 0 deleted" in said
    assert said.endswith(b"Thank you to arXiv for use of its open access interoperability.\n")
    assert left(tmp_path) == {"papers.jsonl", "papers.jsonl.harvest.json"}
