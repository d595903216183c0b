"""Several files as one source: the newest record of a paper counts, and the card counts by file."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.config.load import load_config
from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import CARD, Splits
from tests.support.packing import zipped
from tests.support.prepared import adds_up, contents, refused, rows
from tests.support.records import Record, created, halves, lines, made, write

Settings = Callable[..., Config]
PAPER = "0704.0001"


def titles(splits: Splits, ident: str = PAPER) -> list[str]:
    return [row["title"] for row in rows(splits) if row["id"] == ident]


def revision(title: str, count: int = 1, updated: str = "2024-01-01", **changes: Any) -> Record:
    """Return a record of the paper `PAPER`, other than all of `halves` in its text."""
    history = [
        {"version": f"v{number}", "created": created(date(2007, 4, number))}
        for number in range(1, count + 1)
    ]
    whole = {"id": PAPER, "title": title, "versions": history, "update_date": updated}
    return made(0, abstract=f"Of the revision {title}{' more words' * 10}", **whole | changes)


def adds_up_by_file(card: dict[str, Any]) -> bool:
    sources = card["sources"]
    dropped = sum((Counter(one["dropped"]) for one in sources), Counter[str]())
    return (
        dropped == card["dropped"]
        and sum(one["read"] for one in sources) == card["read"]
        and sum(one["kept"] for one in sources) == card["kept"]
        and all(one["read"] == one["kept"] + sum(one["dropped"].values()) for one in sources)
    )


def test_files_are_read_one_after_the_other(tmp_path: Path, settings: Settings) -> None:
    records = halves(300)
    (tmp_path / "a.zip").write_bytes(zipped(lines(records[:100])))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(lines(records[100:200])))
    pq.write_table(pa.Table.from_pylist(records[200:]), tmp_path / "c.parquet")
    names = ("a.zip", "b.json.gz", "c.parquet")
    whole = prepare_splits(settings(write(tmp_path / "whole.json", records)))
    several = prepare_splits(settings([str(tmp_path / name) for name in names]))
    assert contents(several.folder).keys() == contents(whole.folder).keys()
    assert several.card["files"] == whole.card["files"]
    assert several.card["sources"] == [
        {"file": name, "sha256": files.sha256(tmp_path / name), "read": 100, "kept": 100,
         "dropped": {}} for name in names
    ]  # fmt: skip
    assert several.card["source_sha256"] != whole.card["source_sha256"]
    assert "sources" not in whole.card


def test_a_folder_a_pattern_and_a_list_name_the_same_files(
    tmp_path: Path, settings: Settings
) -> None:
    (folder := tmp_path / "dumps").mkdir()
    records = halves(300)
    for number in range(3):
        write(folder / f"part{number + 8}.jsonl", records[number::3])
    named = [f"{folder}/part{number}.jsonl" for number in (8, 9, 10)]
    made_of = [named, f"[{','.join(named)}]", str(folder), f"{folder}/*.jsonl", f"{folder}/**"]
    folders = {prepare_splits(settings(path)).folder for path in made_of}
    assert len(folders) == 1
    other = prepare_splits(settings(named[::-1]))
    assert other.folder not in folders, "the order is part of the source"
    assert [one["file"] for one in other.card["sources"]] == [
        "part10.jsonl", "part9.jsonl", "part8.jsonl"
    ]  # fmt: skip


def test_one_file_is_the_same_however_it_is_named(tmp_path: Path, settings: Settings) -> None:
    path = write(tmp_path / "a.json", halves(200))
    folders = {
        prepare_splits(settings(named)).folder
        for named in (str(path), [str(path)], f"[{path}]", [str(path), str(path)], f"{tmp_path}/a*")
    }
    assert len(folders) == 1
    card = orjson.loads((folders.pop() / CARD).read_bytes())
    assert card["source_sha256"] == files.sha256(path)
    assert "sources" not in card


UNKNOWN: dict[str, Any] = {
    "updated": "", "versions": [{"created": created(date(2007, 4, 1))}],
}  # fmt: skip
OLD, NEW = revision("Old", 1, "2024-01-01"), revision("New", 2, "2024-01-01")
REVISIONS: dict[str, tuple[list[list[Record]], str]] = {
    "the higher version": ([[OLD], [NEW]], "New"),
    "the higher version of an earlier file": ([[NEW], [OLD]], "New"),
    "the higher version in spite of its day": (
        [[revision("New", 2, "2010-01-01")], [revision("Old", 1, "2024-01-01")]], "New",
    ),
    "the version of the identifier": (
        [[revision("New", id=f"{PAPER}v3")], [revision("Old", 2)]], "New",
    ),
    "of one version the later change": (
        [[revision("New", updated="2024-02-01")], [revision("Old", updated="2024-01-31")]], "New",
    ),
    "of equals the later file": ([[revision("Old")], [revision("New")]], "New"),
    "of equals in one file the first": ([[revision("New"), revision("Old")]], "New"),
    "in one file the higher version": ([[OLD, NEW, OLD]], "New"),
    "of three files the one between": ([[OLD], [revision("New", 3)], [revision("Old", 2)]], "New"),
    "without a version and a day the later file": (
        [[revision("Old", **UNKNOWN)], [revision("New", **UNKNOWN)]], "New",
    ),
}  # fmt: skip


def prepared(tmp_path: Path, settings: Settings, parts: list[list[Record]], **more: Any) -> Splits:
    """Prepare files of some records each, and 200 others in the first file."""
    places = [
        write(tmp_path / f"{number}.json", (halves(200)[1:] if number == 0 else []) + part)
        for number, part in enumerate(parts)
    ]
    return prepare_splits(settings([str(place) for place in places], **more))


@pytest.mark.parametrize("case", REVISIONS)
def test_the_newest_record_of_a_paper_counts(tmp_path: Path, settings: Settings, case: str) -> None:
    parts, title = REVISIONS[case]
    splits = prepared(tmp_path, settings, parts)
    assert titles(splits) == [title]
    copies = sum(map(len, parts)) - 1
    assert splits.card["dropped"] == {"duplicate identifier": copies}
    assert adds_up(splits.card)
    assert len(parts) == 1 or adds_up_by_file(splits.card)


DROPPED: dict[str, dict[str, Any]] = {
    "withdrawn": {"comments": "This paper has been withdrawn"},
    "not English": {"comments": "24 pages, in French"},
    "too short": {"abstract": "See the title."},
    "no category": {"categories": "astro-ph"},
}


@pytest.mark.parametrize("reason", DROPPED)
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_paper_whose_newest_record_is_dropped_does_not_come_back(
    tmp_path: Path, settings: Settings, reason: str, newest_first: bool
) -> None:
    parts = [[OLD], [revision("Newest", 2) | DROPPED[reason]]]
    splits = prepared(tmp_path, settings, parts[::-1] if newest_first else parts)
    assert titles(splits) == []
    assert splits.card["dropped"] == {"duplicate identifier": 1, reason: 1}
    assert adds_up(splits.card)
    assert adds_up_by_file(splits.card)


@pytest.mark.parametrize("reason", DROPPED)
def test_a_paper_comes_back_with_a_newer_record(
    tmp_path: Path, settings: Settings, reason: str
) -> None:
    splits = prepared(tmp_path, settings, [[revision("Older", 2) | DROPPED[reason]],
                                           [revision("New", 3)]])  # fmt: skip
    assert titles(splits) == ["New"]
    assert splits.card["dropped"] == {"duplicate identifier": 1}
    assert adds_up_by_file(splits.card)


def test_a_broken_record_names_no_paper(tmp_path: Path, settings: Settings) -> None:
    broken = revision("Newest", 2) | {"versions": []}
    splits = prepared(tmp_path, settings, [[OLD], [broken]], max_bad=0.1)
    assert titles(splits) == ["Old"]
    assert splits.card["dropped"] == {"broken": 1}
    assert [one["dropped"] for one in splits.card["sources"]] == [{}, {"broken": 1}]


def test_of_two_papers_with_one_text_the_earliest_is_kept_whatever_its_file(
    tmp_path: Path, settings: Settings
) -> None:
    later = revision("One", id="0801.0001", versions=[{"created": created(date(2008, 1, 1))}])
    splits = prepared(tmp_path, settings, [[later], [revision("One")]])
    assert (titles(splits, "0801.0001"), titles(splits)) == ([], ["One"])
    assert splits.card["dropped"] == {"duplicate text": 1}
    assert [one["dropped"] for one in splits.card["sources"]] == [{"duplicate text": 1}, {}]


def test_an_older_text_makes_no_duplicate(tmp_path: Path, settings: Settings) -> None:
    """A text that a paper has no longer keeps no other paper from having it."""
    text = {name: OLD[name] for name in ("title", "abstract")}
    other = revision("", id="0801.0001", versions=[{"created": created(date(2008, 1, 1))}])
    splits = prepared(tmp_path, settings, [[OLD], [NEW, other | text]])
    assert (titles(splits), titles(splits, "0801.0001")) == (["New"], ["Old"])
    assert splits.card["dropped"] == {"duplicate identifier": 1}


@pytest.mark.usefixtures("shared")
def test_several_processes_and_files_make_the_same_bytes(
    tmp_path: Path, settings: Settings, base: Config
) -> None:
    records = [*halves(300), *(made(i, title="Again", update_date="2025-01-01") for i in range(99))]
    for number in range(3):
        write(tmp_path / f"{number}.json", records[number::3])
    paths = f"{tmp_path}/?.json"
    shared = prepare_splits(settings(paths))
    assert shared.card["dropped"] == {"duplicate identifier": 99}
    with pytest.MonkeyPatch.context() as alone:
        alone.setattr("shelfmark.data.prepare.WORTH_SHARING", 1 << 30)
        folder = base.paths.model_copy(update={"data": str(tmp_path / "alone")})
        single = prepare_splits(settings(paths).model_copy(update={"paths": folder}))
    assert contents(single.folder) == contents(shared.folder)


def test_the_card_tells_files_of_one_name_apart_and_no_place(
    tmp_path: Path, settings: Settings
) -> None:
    for number, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "papers.json", halves(200)[number::2])
    splits = prepare_splits(settings(f"{tmp_path}/**/papers.json"))
    assert [one["file"] for one in splits.card["sources"]] == ["a/papers.json", "b/papers.json"]
    assert str(tmp_path) not in (splits.folder / CARD).read_text()


def test_broken_records_of_all_files_count_together(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.json", halves(300))
    write(tmp_path / "b.json", [made(i + 300) for i in range(96)] + [{}] * 4)
    both = f"{tmp_path}/*.json"
    line = refused(settings(both, max_bad=0.009), capsys)
    assert line == (
        f"error: {tmp_path / 'b.json'}: line 97: field 'id' is missing; "
        "4 of 400 records broken, more than data.max_bad=0.009 allows"
    )
    assert prepare_splits(settings(both, max_bad=0.01)).card["dropped"] == {"broken": 4}


def test_a_file_without_papers_is_warned_of(
    tmp_path: Path, settings: Settings, log: Callable[[], str]
) -> None:
    write(tmp_path / "a.json", halves(200))
    (tmp_path / "b.json").write_bytes(b"\n\n")
    splits = prepare_splits(settings(f"{tmp_path}/*.json"))
    assert f"WARNING {tmp_path / 'b.json'}: holds no papers" in log()
    assert [one["read"] for one in splits.card["sources"]] == [200, 0]


def test_what_cannot_be_read_is_one_line_and_leaves_nothing(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "a.json", halves(200))
    (tmp_path / "torn.json.gz").write_bytes(gzip.compress(lines(halves(50)))[:-9])
    for name, reason in {
        "none.json": f"data.path: there is no file {tmp_path / 'none.json'}",
        "torn.json.gz": f"{tmp_path / 'torn.json.gz'}: damaged or truncated",
        "*.zip": f"data.path: no file matches {tmp_path / '*.zip'}",
    }.items():
        line = refused(settings([str(good), str(tmp_path / name)]), capsys)
        assert line.startswith(f"error: {reason}")
    assert "data.path is an empty list" in refused(settings([]), capsys)


def test_a_list_is_an_override(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / f"{number}.json", halves(200)[number::2])
    named = ",".join(str(tmp_path / f"{number}.json") for number in range(2))
    config = load_config(
        ["data=snapshot", f"data.path=[{named}]", f"paths.data={tmp_path / 'data'}"]
    )
    assert prepare_splits(config).card["kept"] == 200
