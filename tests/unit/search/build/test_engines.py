"""Indexes whose vectors FAISS or Milvus searches: built, searched, added to and built again."""

from __future__ import annotations

import contextlib
import shutil
import socket
from pathlib import Path

import pytest

from shelfmark.config.search import IndexSettings
from shelfmark.errors import ShelfmarkError
from shelfmark.search.build.add import add_papers
from shelfmark.search.filters import Filters
from shelfmark.search.query.search_query import SearchQuery
from shelfmark.search.vectors.milvus import MilvusClient
from tests.support import indexes
from tests.support.indexes import newer, paper_records

QUERIES = [
    SearchQuery("a robot that grasps", k=10, words=0.0),
    SearchQuery("galaxy dust", k=10, words=0.0, filters=Filters(categories=("hep-th", "cs"))),
    SearchQuery("prime numbers", k=10, words=0.5),
]


def search(settings: IndexSettings) -> list[list[str]]:
    with contextlib.closing(indexes.open_index(settings)) as index:
        found = index.search(QUERIES)
    indexes.OPEN.clear()
    return [[hit.id for hit in result.hits] for result in found]


def collections(folder: Path) -> set[str]:
    with contextlib.closing(MilvusClient(milvus_uri(folder), 60)) as client:
        return set(client.call("list_collections"))


def milvus_uri(folder: Path) -> str:
    return str(folder / "vectors" / "milvus.db")


def add(folder: Path, settings: IndexSettings) -> None:
    records = [*paper_records(range(120, 130)), newer(7)]
    add_papers(settings, str(indexes.write_records(folder / "more.jsonl", records)))


@pytest.mark.parametrize("engine", ["faiss", "seed", "milvus"])
def test_an_engine_finds_what_the_local_index_finds(engine: str, folder: Path) -> None:
    pytest.importorskip("pymilvus" if engine == "milvus" else "faiss")
    records = paper_records(range(120))
    overrides = [f"index={engine}"]
    if engine == "milvus":
        overrides = ["engine=milvus", f"engine.uri={milvus_uri(folder)}", "engine.timeout=60"]
    settings = indexes.build(folder, records, *overrides)
    before = search(settings)
    add(folder, settings)
    after = search(settings)
    shutil.rmtree(settings.paths.index)
    local = indexes.build(folder, records, "index=exact")
    assert before == search(local)
    add(folder, local)
    assert after == search(local)
    assert before != after


def test_the_collection_of_a_replaced_segment_is_kept_until_the_next_change(folder: Path) -> None:
    pytest.importorskip("milvus_lite")
    overrides = ["engine=milvus", f"engine.uri={milvus_uri(folder)}", "engine.timeout=60"]
    settings = indexes.build(folder, paper_records(range(20)), *overrides)
    [first] = collections(folder)
    older = indexes.open_index(settings)
    indexes.build(folder, paper_records(range(30)), *overrides)
    assert first in collections(folder)
    assert len(older.search(QUERIES)[0].hits) == 10  # opened before, searched first now
    indexes.build(folder, paper_records(range(40)), *overrides)
    assert first not in collections(folder)
    assert len(collections(folder)) == 2


def test_a_server_that_does_not_answer_leaves_the_index_as_it_is(folder: Path) -> None:
    pytest.importorskip("pymilvus")
    settings = indexes.build(folder, paper_records(range(20)))
    before = search(settings)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{bound.getsockname()[1]}"
        overrides = ["engine=milvus", f"engine.uri={uri}", "engine.timeout=0.5"]
        with pytest.raises(ShelfmarkError, match=f"engine.uri={uri}: Milvus does not answer"):
            indexes.build(folder, paper_records(range(20)), *overrides)
    assert search(settings) == before
    assert not [*Path(settings.paths.index).glob("unfinished-*")]  # before any paper is encoded


def test_an_impossible_index_is_refused_before_any_paper_is_encoded(folder: Path) -> None:
    pytest.importorskip("faiss")
    with pytest.raises(ShelfmarkError, match="index.factory=IVF8,PQ7 with vectors of 64 numbers"):
        indexes.build(folder, paper_records(range(20)), "index=faiss", "index.factory='IVF8,PQ7'")
    assert not [*(folder / "index").glob("*")]
