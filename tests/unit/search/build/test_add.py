"""Papers are added, replaced, withdrawn and deleted; an addition that fails changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfmark.cli.main import shelfmark
from shelfmark.cli.parsing.command import run
from shelfmark.config.search import IndexSettings
from shelfmark.errors import ShelfmarkError
from shelfmark.search.build import add
from shelfmark.search.build.add import Changes, add_papers
from shelfmark.search.query.search_query import SearchQuery
from tests.support import indexes
from tests.support.indexes import newer, paper_record, paper_records
from tests.support.records import Record


@pytest.fixture
def settings(folder: Path) -> IndexSettings:
    return indexes.build(folder, paper_records(range(50)))


def add_records(settings: IndexSettings, records: list[Any]) -> Changes:
    path = indexes.write_records(Path(settings.paths.index).parent / "harvest.jsonl", records)
    return add_papers(settings, path)


def ids(settings: IndexSettings, text: str, k: int = 5) -> list[str]:
    [result] = indexes.open_index(settings).search([SearchQuery(text, k=k)])
    return [hit.id for hit in result.hits]


def test_a_new_paper_is_found(settings: IndexSettings) -> None:
    changes = add_records(settings, [paper_record(60), paper_record(61)])
    assert (changes.new, changes.papers) == (2, 52)
    assert ids(settings, "unique60")[0] == "1501.00060"
    assert ids(settings, "unique49")[0] == "1501.00049"


def test_a_newer_record_replaces_the_older_one(settings: IndexSettings) -> None:
    changes = add_records(settings, [newer(7, abstract="All about the zebrafish.")])
    assert (changes.new, changes.changed, changes.papers) == (0, 1, 50)
    index = indexes.open_index(settings)
    [paper] = index.read(np.array(list(index.find_ids(["1501.00007"]).values())))
    assert paper.abstract == "All about the zebrafish."
    assert ids(settings, "zebrafish")[0] == "1501.00007"
    assert ids(settings, "unique7", k=50).count("1501.00007") == 1


def test_an_older_or_equal_record_changes_nothing(settings: IndexSettings) -> None:
    add_records(settings, [newer(7)])
    changes = add_records(settings, [paper_record(7), newer(7), paper_record(8)])
    assert (changes.unchanged, changes.papers) == (3, 50)
    assert indexes.open_index(settings).generation == 2


def test_a_withdrawn_paper_does_not_come_back_with_an_older_record(
    settings: IndexSettings,
) -> None:
    gone = newer(9, comments="Withdrawn by the authors")
    assert add_records(settings, [gone]).withdrawn == 1
    assert "1501.00009" not in ids(settings, "unique9", k=50)
    assert add_records(settings, [paper_record(9)]).unchanged == 1
    # Nor after its segment was joined with a later one.
    assert add_records(settings, paper_records(range(100, 130))).new == 30
    assert add_records(settings, [paper_record(9)]).unchanged == 1
    assert "1501.00009" not in ids(settings, "unique9", k=50)
    assert add_records(settings, [newer(9, version=3)]).changed == 1
    assert ids(settings, "unique9")[0] == "1501.00009"


def test_a_deleted_paper_is_gone_until_a_newer_record_comes(settings: IndexSettings) -> None:
    gone: list[Any] = [{"id": "1501.00011", "deleted": True}]
    changes = add_records(settings, gone)
    assert (changes.deleted, changes.papers) == (1, 49)
    assert "1501.00011" not in ids(settings, "unique11", k=50)
    assert add_records(settings, gone).deleted == 0
    assert add_records(settings, [paper_record(11)]).unchanged == 1
    # Nor after its segment was joined with later ones.
    add_records(settings, paper_records(range(100, 130)))
    assert len(indexes.open_index(settings).segments) == 1
    assert add_records(settings, [paper_record(11)]).unchanged == 1
    assert "1501.00011" not in ids(settings, "unique11", k=50)
    assert add_records(settings, [newer(11)]).changed == 1
    assert ids(settings, "unique11")[0] == "1501.00011"


def test_a_paper_that_came_back_is_found_once_after_its_segments_are_joined(
    settings: IndexSettings,
) -> None:
    add_records(settings, [newer(9, comments="Withdrawn by the authors")])
    add_records(settings, [newer(9, version=3)])
    add_records(settings, paper_records(range(100, 150)))
    index = indexes.open_index(settings)
    assert (len(index.segments), index.papers) == (1, 100)
    assert ids(settings, "unique9")[0] == "1501.00009"
    assert ids(settings, "1501.00009")[0] == "1501.00009"
    assert add_records(settings, [newer(9)]).unchanged == 1


def test_many_additions_leave_few_segments_and_the_papers_of_one_build(
    settings: IndexSettings, tmp_path: Path, folder: Path
) -> None:
    for begin in range(50, 90, 2):
        add_records(settings, paper_records(range(begin, begin + 2)))
    index = indexes.open_index(settings)
    assert index.papers == 90
    assert len(index.segments) <= 6
    whole = indexes.build(folder, paper_records(range(90)))
    again = indexes.open_index(whole)
    for number in (3, 55, 89):
        [a], [b] = (x.search([SearchQuery(f"unique{number}")]) for x in (index, again))
        assert [hit.id for hit in a.hits][:1] == [hit.id for hit in b.hits][:1]
        by_id = {hit.id: hit.similarity for hit in a.hits}
        both = [hit for hit in b.hits if hit.id in by_id]
        assert len(both) >= 8
        assert all(hit.similarity == pytest.approx(by_id[hit.id]) for hit in both)


def test_an_addition_that_fails_leaves_the_index(
    settings: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ShelfmarkError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(add, "write_segment", fail)
        with pytest.raises(ShelfmarkError, match="the disk is full"):
            add_records(settings, [paper_record(60), newer(3)])
    index = indexes.open_index(settings)
    assert (index.generation, index.papers) == (1, 50)
    assert add_records(settings, [paper_record(60), newer(3)]).papers == 51


def test_an_index_that_is_open_serves_on_while_another_state_replaces_it(
    settings: IndexSettings,
) -> None:
    before = indexes.open_index(settings)
    add_records(settings, [newer(3, title="New words"), paper_record(70)])
    after = indexes.open_index(settings, before)
    query = [SearchQuery("1501.00003", k=1)]
    assert before.search(query)[0].hits[0].title != "New words"
    assert after.search(query)[0].hits[0].title == "New words"
    before.close(after)
    assert after.search(query)[0].hits[0].title == "New words"
    shared = set(map(id, before.segments)) & set(map(id, after.segments))
    assert len(shared) == 1


@pytest.mark.parametrize("record", [b"no json", {"id": "1501.00001"}])
def test_a_broken_file_is_refused(settings: IndexSettings, record: Record) -> None:
    path = Path(settings.paths.index).parent / "bad.jsonl"
    path.write_bytes(record if isinstance(record, bytes) else b'{"id": "1501.00001"}\n')
    with pytest.raises(ShelfmarkError, match=r"bad\.jsonl"):
        add_papers(settings, path)
    assert indexes.open_index(settings).generation == 1


def test_an_addition_needs_an_index_and_its_encoder(settings: IndexSettings, folder: Path) -> None:
    path = indexes.write_records(folder / "more.jsonl", [paper_record(60)])
    with pytest.raises(ShelfmarkError, match="no index in .*missing: build one"):
        add_papers(indexes.index_settings(folder, None, f"paths.index={folder}/missing"), path)
    (folder / "encoders" / "hashed").rename(folder / "encoders" / "kept")
    with pytest.raises(ShelfmarkError, match="does not open in .*no encoder in"):
        add_papers(settings, path)
    indexes.save_encoder(folder, seed=2)
    with pytest.raises(ShelfmarkError, match="the encoder hashed .* made this index, not hashed"):
        add_papers(settings, path)


@pytest.mark.parametrize("name", ["vectors.npy", "papers.sqlite", "word_rows.npy"])
def test_papers_are_not_added_to_a_damaged_index(settings: IndexSettings, name: str) -> None:
    path = Path(settings.paths.index) / "segments" / "000001" / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for records in ([paper_record(60)], paper_records(range(60, 120))):
        with pytest.raises(ShelfmarkError, match=f"{name} is damaged"):
            add_records(settings, records)


@pytest.mark.parametrize(
    "words",
    [["--add", ""], ["--add", "more.jsonl", "--encoder", "other"],
     ["--add", "more.jsonl", "experiment=fast"], ["paths.index="]],
)  # fmt: skip
def test_options_that_do_not_apply_to_an_addition_are_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = run(shelfmark, ["index", *words], "shelfmark")
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status in (1, 2)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_all_papers_cannot_be_deleted(settings: IndexSettings) -> None:
    gone = [{"id": f"1501.{number:05d}", "deleted": True} for number in range(50)]
    with pytest.raises(ShelfmarkError, match="all papers"):
        add_records(settings, gone)
    assert indexes.open_index(settings).papers == 50
