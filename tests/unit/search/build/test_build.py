"""An index is built of the newest record of each paper, resumed, and complete or as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shelfmark.core import files
from shelfmark.embeddings.locate import locate_encoder
from shelfmark.errors import ShelfmarkError
from shelfmark.search.build import blocks, build
from shelfmark.search.build.build import build_index, lock_index
from shelfmark.search.manifest import read_manifest
from shelfmark.search.query.search_query import SearchQuery
from tests.support import indexes
from tests.support.indexes import newer, paper_record, paper_records


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of each file of an index but the manifest, which holds the time."""
    return {
        path.relative_to(folder).as_posix(): files.sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("manifest.json", "lock")
    }


def test_an_index_has_the_newest_record_of_each_paper(folder: Path) -> None:
    records = [*paper_records(range(30)), newer(3, title="A newer title"), paper_record(3)]
    index = indexes.open_index(indexes.build(folder, records))
    assert index.papers == 30
    [paper] = index.read(np.array([index.find_ids(["1501.00003"])["1501.00003"]]))
    assert (paper.title, paper.version) == ("A newer title", 2)


def test_a_withdrawn_and_a_deleted_paper_are_not_found(folder: Path) -> None:
    gone = newer(4, comments="This paper has been withdrawn by the authors")
    records = [*paper_records(range(10)), gone, {"id": "1501.00007", "deleted": True}]
    index = indexes.open_index(indexes.build(folder, records))
    assert index.papers == 8
    assert index.find_ids(["1501.00004", "1501.00007"]) == {}
    [result] = index.search([SearchQuery("unique4 unique7", k=10)])
    assert {"1501.00004", "1501.00007"}.isdisjoint(hit.id for hit in result.hits)
    assert len(result.hits) == 8


def test_blocks_make_the_same_index_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [*paper_records(range(40)), newer(5), newer(20)]
    settings = indexes.build(folder, records)
    whole = contents(Path(settings.paths.index))
    monkeypatch.setattr(build, "RECORDS", 7)
    other = settings.model_copy(
        update={"paths": settings.paths.model_copy(update={"index": str(folder / "other")})}
    )
    with locate_encoder("hashed", settings.paths.encoders) as located:
        build_index(other, located)
    assert contents(folder / "other") == whole


def test_a_build_that_ends_half_way_goes_on_with_the_missing_blocks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, log: Callable[[], str]
) -> None:
    monkeypatch.setattr(build, "RECORDS", 8)
    write, written = blocks.write_block, []

    def fail_once(papers: object, encoder: object, size: int, aside: Path) -> None:
        if len(written) == 3:
            written.append("failed")
            raise ShelfmarkError("the disk is full")
        written.append(aside.name)
        write(papers, encoder, size, aside)  # type: ignore[arg-type]

    monkeypatch.setattr(blocks, "write_block", fail_once)
    records = paper_records(range(40))
    with pytest.raises(ShelfmarkError, match="the disk is full"):
        indexes.build(folder, records)
    assert not (folder / "index" / "manifest.json").exists()
    settings = indexes.build(folder, records)
    assert len(written) == 6  # five blocks and the failure
    assert "resuming after 3 blocks" in log()
    assert indexes.open_index(settings).papers == 40
    assert not list((folder / "index").glob("unfinished-*"))


def test_the_old_index_stays_until_the_new_one_is_complete(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = indexes.build(folder, paper_records(range(20)))
    before = contents(Path(settings.paths.index))
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise ShelfmarkError("the disk is full")

        patch.setattr(build, "merge_segments", fail)
        with pytest.raises(ShelfmarkError, match="the disk is full"):
            indexes.build(folder, paper_records(range(30)))
    after = contents(Path(settings.paths.index))
    assert {name: after[name] for name in before} == before
    assert indexes.open_index(settings).papers == 20
    indexes.build(folder, paper_records(range(30)))
    index = indexes.open_index(settings)
    assert (index.papers, index.generation) == (30, 2)
    assert [x.name for x in (folder / "index" / "segments").iterdir()] == ["000002"]


def test_only_one_process_changes_an_index(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(5)))
    with (
        lock_index(Path(settings.paths.index)),
        pytest.raises(ShelfmarkError, match="another process builds or changes this index"),
        lock_index(Path(settings.paths.index)),
    ):
        pass


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([], "empty"),
        ([{"id": "1501.00001"}] * 50, "broken"),
        ([{"id": "1501.00001", "deleted": True}], "holds no papers"),
    ],
)
def test_a_source_without_papers_is_refused(
    folder: Path, records: list[object], reason: str
) -> None:
    with pytest.raises(ShelfmarkError, match=reason):
        indexes.build(folder, records)
    assert not (folder / "index" / "manifest.json").exists()


def test_the_size_of_vectors_is_one_of_the_encoder(folder: Path) -> None:
    with pytest.raises(ShelfmarkError, match="33"):
        indexes.build(folder, paper_records(range(5)), "index.size=33")


def test_authors_are_listed_as_people_read_them() -> None:
    parsed = [["Balázs", "C.", ""], ["Berger", "E. L.", "Jr."], ["CDF Collaboration", "", ""]]
    assert blocks.list_authors(parsed) == "C. Balázs, E. L. Berger Jr., CDF Collaboration"
    assert blocks.list_authors("Ada Lovelace and\n Alan Turing") == "Ada Lovelace and Alan Turing"
    assert blocks.list_authors([["A", "B"]] * 103).endswith(", B A and 3 more")
    assert blocks.list_authors(None) == blocks.list_authors([[], [3], "x"]) == ""


def test_a_manifest_names_what_the_index_was_made_of(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(12)))
    manifest = read_manifest(Path(settings.paths.index))
    assert manifest.encoder == "hashed"
    assert manifest.sources[0]["file"] == "papers.jsonl"
    assert manifest.sources[0]["read"] == manifest.papers == 12
    assert manifest.config["index"]["kind"] == "local"


def test_synthetic_papers_do_not_replace_real_ones(folder: Path) -> None:
    settings = indexes.build(folder, paper_records(range(5)))
    sample = indexes.index_settings(folder, None, "data.options.papers=600")
    with (
        locate_encoder("hashed", settings.paths.encoders) as located,
        pytest.raises(ShelfmarkError, match="5 real papers, which synthetic ones would replace"),
    ):
        build_index(sample, located)
    assert indexes.open_index(settings).papers == 5


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "index").write_text("")
    with pytest.raises(ShelfmarkError, match="is a file, not the folder of an index"):
        indexes.build(folder, paper_records(range(5)))
