"""The records of a harvest: in the layout of the snapshot, each once, in its newest version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import orjson
import pytest

from shelfmark.arxiv import harvest, taxonomy
from shelfmark.config.load import load_config
from shelfmark.data import readers, sources
from shelfmark.data.prepare import prepare_splits
from shelfmark.errors import ShelfmarkError
from tests import conftest
from tests.support import oai_server
from tests.support.oai_server import Held, Repository
from tests.unit.arxiv.conftest import SINCE, Clock, fetch, held, ids, read, token


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
    first, second = sources.read_papers("snapshot", out, {})
    assert (first.submitted, first.categories) == (date(2026, 10, 9), ("cs.RO", "cs.LG"))
    assert second.id == "math/0211159"
    [batch] = readers.read_batches(str(out))
    assert [readers.parse_record(*record).id for record in batch] == ["2610.00001", "math/0211159"]


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
    splits = prepare_splits(load_config([*source, *conftest.paths_in(tmp_path)]))
    read = [splits.read(name, ["id"]).num_rows for name in ("train", "validation", "test")]
    assert sum(read) == 120


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


def test_papers_of_the_file_are_found_under_any_spelling(tmp_path: Path, clock: Clock) -> None:
    out = tmp_path / "papers.jsonl"
    spellings = ["math.AG/0211000", "MATH/0211001v2", "arXiv:math/0211000v1", "math-0211002"]
    mine = [{"id": one, "title": "Mine", "update_date": "2026-10-01"} for one in spellings]
    out.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in mine))
    papers = [
        Held("math.GT/0211000", "2026-11-02"),
        Held("math/0211001", "2026-11-02"),
        Held("Math/0211002", "2026-11-02", deleted=True),
    ]
    with oai_server.running(Repository(papers)) as served:
        done = fetch(served, out, clock)
    assert ids(out) == ["math/0211000", "math/0211001"]
    assert (done.counts.new, done.counts.changed, done.counts.deleted) == (0, 2, 1)


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
        ("CS.ai", "cs:cs:AI"),
        ("cs.NW", "cs:cs:NW"),
        ("cs:cs:NW", "cs:cs:NW"),
        ("astro-ph.XX", "physics:astro-ph:XX"),
        ("bio.AB", "bio:bio:AB"),
    ],
)
def test_the_name_of_a_set(name: str, spec: str) -> None:
    assert harvest.parse_set(name) == spec


@pytest.mark.parametrize("name", ["cs.NW", "cs:cs:NW"])
def test_a_set_of_a_new_category_is_requested_with_a_warning(
    tmp_path: Path, clock: Clock, log: Callable[[], str], name: str
) -> None:
    papers = [
        Held("2611.00001", "2026-11-02", ("cs:cs:NW",), "cs.NW cs.RO"),
        Held("2611.00002", "2026-11-02"),
    ]
    with oai_server.running(Repository(papers)) as served:
        fetch(served, tmp_path / "papers.jsonl", clock, sets=(name,))
        assert served.asked[0]["set"] == "cs:cs:NW"
    assert ids(tmp_path / "papers.jsonl") == ["2611.00001"]
    warning = f"--sets: requesting cs:cs:NW: cs.NW is not in the taxonomy of {taxonomy.AS_OF}"
    assert log().count(warning) == 1


def test_a_gap_between_harvests_is_reported(
    repository: Repository, tmp_path: Path, clock: Clock, log: Callable[[], str]
) -> None:
    fetch(repository, tmp_path / "papers.jsonl", clock)
    clock.time += 5 * 86400
    fetch(repository, tmp_path / "papers.jsonl", clock, "2026-11-23")
    assert "changes from 2026-11-20 to 2026-11-23 will be missing" in log()


def test_a_record_that_is_no_paper_is_left_out_and_reported(
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
    assert "skipped not an arXiv identifier: 'oai:arXiv.org:x y'" in log()
    assert "skipped 2611.00003: no version" in log()
    assert "skipped 2611.00004: no title or no abstract" in log()
    assert "skipped 2611.00005: no categories" in log()
