"""The moderators' table: its cells, its order, and that nothing in it is executed."""

from __future__ import annotations

import csv
import html.parser
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.harvest import HarvestResult
from shelfmark.arxiv.harvest_store import ChangeCounts
from shelfmark.errors import ShelfmarkError
from shelfmark.models import answers, artifact
from shelfmark.reports import moderators as moderation
from tests.support import oai_server, records
from tests.support.moments import PATIENCE
from tests.support.oai_server import Held, Repository

ROOT = Path(__file__).parents[3]
ROBOT = (
    "We propose a robust approach to grasping based on robot. The results show that grasping "
    "depends on the gripper and on the controller. Experiments with mobile robot confirm the role "
    "of image. Our approach combines motion planning with a simple manipulator."
)
GALAXY = "Star formation and dust in a galaxy with a massive halo of dark matter."
ROW = moderation.Row(
    "2611.00001", "A title", "cs.RO", "cs.CV", "Vision", 0.9, "disagrees", "sure", "in", False, "",
    ("cs.LG",),
    ("robot", "arm"),
)  # fmt: skip


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "models" / "quick"


def paper(number: int, category: str, abstract: str, **changes: Any) -> records.Record:
    """Return a record that came with the harvest, submitted shortly before."""
    created = "Fri, 30 Oct 2026 10:00:00 GMT"
    record = records.made(number, category, abstract=abstract, update_date="2026-11-05")
    return record | {"versions": [{"version": "v1", "created": created}]} | changes


def harvested(folder: Path, papers: list[Any]) -> HarvestResult:
    path = records.write(folder / "papers.jsonl", papers)
    return HarvestResult(path, date(2026, 11, 1), date(2026, 11, 20), ChangeCounts(new=len(papers)))


def table(folder: Path) -> list[dict[str, str]]:
    text = (folder / "moderators-2026-11-20.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(text.splitlines()))


def test_a_row_shows_the_answer_of_the_model(
    folder: Path, model: artifact.Model, tmp_path: Path
) -> None:
    papers = [
        paper(1, "cs.RO", ROBOT),
        paper(2, "astro-ph.GA cs.CV", ROBOT, title="Galaxies\n  far away"),
        paper(3, "hep-lat", ROBOT),
    ]
    assert "hep-lat" not in model.classes
    summary = moderation.write_table(folder, harvested(tmp_path, papers), tmp_path, 30)
    rows = {row["id"]: row for row in table(tmp_path)}
    asked = [
        answers.PaperQuery(one["title"], one["abstract"], 1, True, one["categories"].split()[0])
        for one in papers
    ]
    verdicts = []
    for one, answer in zip(papers, answers.answer_queries(model, asked), strict=True):
        row = rows[one["id"]]
        assert row["link"] == f"https://arxiv.org/abs/{one['id']}"
        assert row["primary"] == one["categories"].split()[0]
        assert row["shelf"] == answer.category
        assert float(row["confidence"]) == pytest.approx(answer.confidence, abs=1e-4)
        lists = [one.category for one in answer.cross_lists]
        assert row["cross_lists"].split() == [x for x in lists if x not in one["categories"]]
        towards = [x.word for x in answer.why.words if x.weight > 0]
        assert row["words"].split(", ") == towards[:6]
        sure = answer.confident and answer.primary.known
        agrees = "agrees" if answer.category == row["primary"] else "disagrees"
        assert row["verdict"] == (agrees if sure else "not sure")
        verdicts.append(row["verdict"])
    assert verdicts == ["agrees", "disagrees", "not sure"]
    assert "the author’s category, hep-lat, is none of the model’s" in rows["1501.00003"]["note"]
    assert (rows["1501.00003"]["grade"], rows["1501.00003"]["scope"]) == ("open", "doubtful")
    assert rows["1501.00002"]["title"] == "Galaxies far away"
    assert [row["verdict"] for row in table(tmp_path)] == ["disagrees", "not sure", "agrees"]
    assert str(summary) == (
        f"{tmp_path}/moderators-2026-11-20.csv and .html: 3 papers, 1 disagree, 1 not sure, 1 agree"
    )


def test_rows_that_need_attention_come_first() -> None:
    def row(name: str, verdict: str, confidence: float, same: bool, note: str = "") -> Any:
        return replace(ROW, id=name, verdict=verdict, confidence=confidence, same=same, note=note)

    wanted = [
        row("surely another", "disagrees", 0.99, False),
        row("another", "disagrees", 0.8, False),
        row("likely another", "not sure", 0.7, False),
        row("perhaps another", "not sure", 0.3, False),
        row("hardly this", "not sure", 0.3, True),
        row("likely this", "not sure", 0.7, True),
        replace(row("unknown", "not sure", 0.9, False), scope="doubtful"),
        row("this", "agrees", 0.8, True),
        row("surely this", "agrees", 0.99, True),
    ]
    given = [wanted[place] for place in (8, 2, 5, 0, 7, 3, 1, 6, 4)]
    assert [row.id for row in sorted(given, key=moderation._attention_order)] == [
        x.id for x in wanted
    ]


def test_old_updated_and_withdrawn_papers_are_left_out(
    folder: Path, tmp_path: Path, log: Callable[[], str]
) -> None:
    versions = [{"version": "v1", "created": "Mon, 28 Sep 2026 10:00:00 GMT"}]
    papers: list[Any] = [
        paper(1, "cs.RO", ROBOT),
        paper(2, "cs.RO", ROBOT, update_date="2026-10-31"),
        paper(3, "cs.RO", ROBOT, versions=versions),
        paper(4, "cs.RO", "This paper has been withdrawn by the author."),
        paper(5, "robots", ROBOT),
    ]
    given = harvested(tmp_path, papers)
    with given.path.open("ab") as file:
        file.write(b"[1]\n")
    moderation.write_table(folder, given, tmp_path, 30)
    assert [row["id"] for row in table(tmp_path)] == ["1501.00001"]
    assert "left out of the table: unknown category 'robots'" in log()
    assert "left out of the table: a line without a record" in log()
    moderation.write_table(folder, given, tmp_path, 40)
    assert [row["id"] for row in table(tmp_path)] == ["1501.00001", "1501.00003"]


def test_papers_of_a_new_category_are_in_the_table_with_a_note(
    folder: Path, tmp_path: Path, log: Callable[[], str]
) -> None:
    papers = [
        paper(1, "cs.RO", ROBOT), paper(2, "cs.RO cs.NW", ROBOT), paper(3, "cs.NW cs.RO", ROBOT),
        paper(4, "bio.AB", ROBOT),
    ]  # fmt: skip
    moderation.write_table(folder, harvested(tmp_path, papers), tmp_path, 30)
    rows = {row["id"][-1]: row for row in table(tmp_path)}
    listed = f"is not in the taxonomy of {taxonomy.AS_OF}"
    unknown = "Doubtful: the author’s category, {}, is none of the model’s; {} " + listed
    assert rows["1"]["note"].startswith("Sure: of answers like this, ")
    assert rows["2"]["note"] == f"{rows['1']['note']}; cs.NW {listed}"
    assert rows["3"]["note"] == unknown.format("cs.NW", "cs.NW")
    assert rows["4"]["note"] == unknown.format("bio.AB", "bio.AB")
    assert [rows[name]["verdict"] for name in "1234"] == [
        "agrees",
        "agrees",
        "not sure",
        "not sure",
    ]
    assert log().count("cs.NW of 1501.0000") == 1
    assert f"cs.NW {listed}" in (tmp_path / "moderators-2026-11-20.html").read_text("utf-8")


def test_several_processes_write_the_same_table(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    papers = [paper(i, "cs.RO", f"{ROBOT if i % 3 else GALAXY} {i}") for i in range(20)]
    given = harvested(tmp_path, papers)
    for name in ("alone", "shared"):
        moderation.write_table(folder, given, tmp_path / name, 30)
        monkeypatch.setattr(moderation, "BATCH", 8)
        monkeypatch.setattr(moderation, "MIN_PARALLEL", 2)
    for end in ("csv", "html"):
        name = f"moderators-2026-11-20.{end}"
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "shared" / name).read_bytes()
    assert len(table(tmp_path / "shared")) == 20


def test_no_papers_make_an_empty_table(folder: Path, tmp_path: Path) -> None:
    summary = moderation.write_table(folder, harvested(tmp_path, []), tmp_path, 30)
    assert ": 0 papers" in str(summary)
    head = (tmp_path / "moderators-2026-11-20.csv").read_text(encoding="utf-8-sig")
    assert (
        head
        == "id,link,title,primary,shelf,confidence,verdict,grade,scope,cross_lists,words,note\n"
    )


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_is_a_formula(folder: Path, tmp_path: Path, sign: str) -> None:
    title = f'{sign}HYPERLINK("http://x","a, b")'
    moderation.write_table(
        folder, harvested(tmp_path, [paper(1, "cs.RO", ROBOT, title=title)]), tmp_path, 30
    )
    assert table(tmp_path)[0]["title"] == f"'{title}"


class Links(html.parser.HTMLParser):
    """Gathers what a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [str(value) for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    evil = replace(
        ROW, name="<u>", title="<script>alert(1)</script> <img src=x onerror=y>", words=("<b>",),
        note="a < b", cross_lists=("<i>",),
    )  # fmt: skip
    written = moderation.render_page([evil], "Model <m>.")
    parsed = Links()
    parsed.feed(written)
    assert not parsed.tags & {"script", "img", "link", "iframe", "b", "i", "u", "m"}
    assert parsed.fetched == ["https://arxiv.org/abs/2611.00001"]
    assert "<script>alert(1)</script>" in parsed.text
    assert "1 papers: 1 disagrees, 0 not sure, 0 agrees" in parsed.text
    assert "url(" not in written
    assert "Content-Security-Policy" in written


def test_a_missing_model_is_an_error_before_the_harvest(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ShelfmarkError, match="no model in"):
        moderation.check_model(tmp_path, 30)
    with pytest.raises(ShelfmarkError, match="--days: -1"):
        moderation.check_model(folder, -1)
    assert moderation.check_model(folder, 0) == folder.resolve()


def run(
    home: Path, cwd: Path, *words: str, model: str = "quick"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "classify-new"]
    places = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cwd / "cache")}
    env = {**os.environ, **places, "no_proxy": "127.0.0.1"}
    return subprocess.run(
        [*command, "--models", str(home / "models"), "--model", model, *words],
        cwd=cwd, capture_output=True, text=True, env=env, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_one_command_harvests_predicts_and_writes_the_table(home: Path, tmp_path: Path) -> None:
    created = ("Mon, 02 Nov 2026 19:18:42 GMT",)
    papers = [
        Held("2611.00001", "2026-11-03", abstract=ROBOT, categories="cs.RO", versions=created),
        Held("2611.00002", "2026-11-04", abstract=GALAXY, categories="cs.RO", versions=created),
    ]
    with oai_server.running(Repository(papers, size=1)) as served:
        served.faults = {2: oai_server.cut}
        words = ["--since", "2026-11-01", "--sets", "cs", "--url", served.url, "--interval", "0.01"]
        done = run(home, tmp_path, *words)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert "2 new papers" in lines[0]
        assert re.search(r"2 papers, \d disagree, \d not sure, \d agree", lines[1])
        assert lines[2] == "Thank you to arXiv for use of its open access interoperability."
        assert {path.name for path in (tmp_path / "harvest").iterdir()} == {
            "papers.jsonl", "papers.jsonl.harvest.json",
            "moderators-2026-11-20.csv", "moderators-2026-11-20.html",
        }  # fmt: skip
        assert [row["shelf"] for row in table(tmp_path / "harvest")] == ["astro-ph.GA", "cs.RO"]
        url = served.url
    done = run(home, tmp_path, "--url", url)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: 127\.0\.0\.1:\d+ cannot be reached .*nothing was received\n", done.stderr
    )
    missing = run(home, tmp_path, "--url", url, model="none")
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: no model in")
