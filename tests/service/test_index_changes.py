"""An index that appears, changes or breaks while the service runs: no request fails for it."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import orjson
import pytest

from shelfmark.core import files
from shelfmark.embeddings.locate import locate_encoder
from shelfmark.search.build.build import build_index
from shelfmark.search.manifest import MANIFEST, read_manifest
from shelfmark.service.search import index_slot
from tests.support import hashed_encoder, indexes
from tests.support.indexed_service import (
    PAPERS,
    HeldSearches,
    Searchers,
    add_numbers,
    index_state,
    metric,
    open_files,
    settings_of,
    wait_for_index,
)
from tests.support.indexes import paper_records
from tests.support.moments import until
from tests.support.serving import ROBOT
from tests.support.threaded_service import threaded_service

Log = Callable[[], str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an encoder and no index; a service looks for changes all the time."""
    hashed_encoder.register(monkeypatch)
    monkeypatch.setattr(index_slot, "POLL_SECONDS", 0.02)
    indexes.save_encoder(tmp_path)
    return tmp_path


@pytest.fixture
def indexed(folder: Path) -> Path:
    """The folder, with an index of 40 papers."""
    indexes.build(folder, paper_records(range(PAPERS)))
    return folder


def search(client: httpx.Client, text: str = "robot", **body: Any) -> httpx.Response:
    return client.post("/search", json={"text": text, **body})


def test_an_index_that_appears_is_served(home: Path, folder: Path) -> None:
    with threaded_service(settings_of(home, folder)) as client:
        until(lambda: search(client).status_code == 404)
        missing = search(client)
        assert "shelfmark index makes one" in missing.json()["detail"]
        assert client.get("/ready").json() == {"status": "ready", "model": "quick"}
        assert metric(client, "shelfmark_index_papers") == 0
        indexes.build(folder, paper_records(range(PAPERS)))
        wait_for_index(client)
        assert search(client, "unique7").json()["results"][0]["id"] == "1501.00007"
        assert metric(client, "shelfmark_index_papers") == PAPERS


def test_papers_are_added_under_load_without_a_failed_request(home: Path, indexed: Path) -> None:
    with threaded_service(settings_of(home, indexed)) as client:
        wait_for_index(client)
        with Searchers(client.base_url) as searchers:
            searchers.wait_for_answers(10)
            for generation in range(2, 10):
                papers = searchers.papers[generation - 1]
                searchers.papers[generation] = papers + 2  # before any answer of it
                add_numbers(indexed, range(papers, papers + 2))
                wait_for_index(client, generation)
                searchers.wait_for_answers(10)
        assert searchers.check() == set(range(1, 10))
        assert metric(client, "shelfmark_index_swaps_total") == 9
        assert metric(client, "shelfmark_index_failures_total") == 0


def test_an_index_that_another_encoder_made_brings_its_encoder(home: Path, indexed: Path) -> None:
    with threaded_service(settings_of(home, indexed)) as client:
        wait_for_index(client)
        assert client.post("/embed", json={"text": "robot"}).json()["encoder"] == "hashed"
        indexes.save_encoder(indexed, "other", size=32, seed=2)
        settings = indexes.index_settings(indexed, indexed / "papers.jsonl")
        with locate_encoder("other", settings.paths.encoders) as located:
            build_index(settings, located)
        wait_for_index(client, 2)
        assert search(client, "unique7").json()["results"][0]["id"] == "1501.00007"
        assert search(client).json()["index"]["encoder"] == "other"
        embedding = client.post("/embed", json={"text": "robot"}).json()
        assert (embedding["encoder"], embedding["size"]) == ("other", 32)


def replace_index(source: Path, target: Path) -> None:
    """Put an index in place of another, its manifest last; what is there stays, as it is read."""
    for path in (source / "segments").iterdir():
        if not (target / "segments" / path.name).exists():
            shutil.copytree(path, target / "segments" / path.name)
    with files.atomic_write(target / MANIFEST) as file:
        file.write((source / MANIFEST).read_bytes())


@pytest.mark.parametrize("damage", ["manifest", "segment", "removed"])
def test_an_index_that_breaks_is_served_on_as_it_was(
    home: Path, indexed: Path, damage: str, log: Log
) -> None:
    index, whole = indexed / "index", (indexed / "index" / MANIFEST).read_bytes()
    with threaded_service(settings_of(home, indexed)) as client:
        wait_for_index(client)
        with Searchers(client.base_url, 2) as searchers:
            searchers.wait_for_answers(5)
            break_index(indexed, damage)
            until(lambda: metric(client, "shelfmark_index_failures_total") >= 1)
            state = index_state(client)
            assert (state["status"], state["generation"]) == ("ready", 1)
            assert "the log names the reason" in state["problem"]
            assert str(indexed) not in state["problem"]
            assert metric(client, "shelfmark_index_failing") == 1
            searchers.wait_for_answers(5)
            with files.atomic_write(index / MANIFEST) as file:
                file.write(whole)
            until(lambda: "problem" not in index_state(client))
            assert metric(client, "shelfmark_index_failing") == 0
            searchers.wait_for_answers(5)
        assert searchers.check() == {1}
    lines = [line for line in log().splitlines() if "the index does not open" in line]
    assert "the one before serves on, trying again in 1 s: " in lines[0]
    assert str(index) in lines[0]
    assert "Traceback" not in log()


def break_index(folder: Path, damage: str) -> None:
    """Damage the manifest of an index, or a segment of its next generation, or remove it."""
    index = folder / "index"
    if damage == "removed":
        (index / MANIFEST).unlink()
    elif damage == "manifest":
        content = (index / MANIFEST).read_bytes()
        with files.atomic_write(index / MANIFEST) as file:
            file.write(content[:-20])
    else:
        other = folder / "elsewhere"
        shutil.copytree(folder / "encoders", other / "encoders", symlinks=True)
        shutil.copytree(index, other / "index")
        add_numbers(other, range(PAPERS, PAPERS + 2))
        newest = read_manifest(other / "index").segments[-1].name
        path = other / "index" / "segments" / newest / "vectors.npy"
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        replace_index(other / "index", index)


def test_a_service_starts_and_predicts_with_a_damaged_index(
    home: Path, indexed: Path, log: Log
) -> None:
    path = indexed / "index" / MANIFEST
    whole = path.read_bytes()
    path.write_bytes(b"{}")
    with threaded_service(settings_of(home, indexed)) as client:
        until(lambda: index_state(client).get("status") == "failed")
        refused = search(client)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert str(indexed) not in refused.text
        assert client.post("/embed", json={"text": "a"}).status_code == 503
        assert client.post("/predict", json={"text": ROBOT}).status_code == 200
        with files.atomic_write(path) as file:
            file.write(whole)
        wait_for_index(client)
        assert search(client).status_code == 200
    assert f"{path}: " in log()
    assert "build the index again" in log()


def test_an_index_of_another_encoder_than_the_settings_say_is_refused_in_one_line(
    home: Path, indexed: Path, log: Log
) -> None:
    indexes.save_encoder(indexed, "other", seed=2)
    with threaded_service(settings_of(home, indexed, encoder="other")) as client:
        until(lambda: index_state(client).get("status") == "failed")
        assert search(client).status_code == 503
        assert client.post("/embed", json={"text": "a"}).json()["encoder"] == "other"
    [line] = {line for line in log().splitlines() if "the index does not open" in line}
    assert "was made by the encoder hashed, not by SHELFMARK_ENCODER=other" in line
    with threaded_service(settings_of(home, indexed, encoder="hashed")) as client:
        wait_for_index(client)
        assert search(client).status_code == 200


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldSearches]:
    held = HeldSearches(monkeypatch)
    yield held
    held.release()


def test_a_search_in_progress_ends_on_its_index_while_others_replace_it_twice(
    home: Path, indexed: Path, monkeypatch: pytest.MonkeyPatch, held: HeldSearches
) -> None:
    with threaded_service(settings_of(home, indexed)) as client:
        wait_for_index(client)
        before = search(client).json()
        held.holds = True
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(search(client)))
        thread.start()
        held.wait_for(1)
        held.holds = False
        for generation in (2, 3):  # the second addition joins the segment of the first
            add_numbers(indexed, range(PAPERS + generation, PAPERS + generation + 1))
            wait_for_index(client, generation)
        held.release()
        thread.join()
        assert answers[0].json() == before
        assert search(client).json()["index"]["generation"] == 3


@pytest.mark.skipif(sys.platform != "linux", reason="open files are looked up in /proc")
def test_replaced_indexes_leave_no_file_open_and_no_mapping(home: Path, indexed: Path) -> None:
    index = indexed / "index"
    with threaded_service(settings_of(home, indexed)) as client:
        wait_for_index(client)
        with Searchers(client.base_url, 2) as searchers:
            for generation in range(2, 22):
                papers = searchers.papers[generation - 1]
                searchers.papers[generation] = papers + 1
                add_numbers(indexed, [papers])
                wait_for_index(client, generation)
                searchers.wait_for_answers(4)
        searchers.check()
        search(client)  # the last one of the searchers may have kept its index until now
        until(lambda: not [name for name in open_files(index) if name.endswith("(deleted)")])
        segments = len(read_manifest(index).segments)
        first = [
            name
            for name in open_files(index)
            if f"/{read_manifest(index).segments[0].name}/" in name
        ]
        assert len(open_files(index)) <= len(first) * segments
    until(lambda: open_files(index) == [])
    assert orjson.loads((index / MANIFEST).read_bytes())["generation"] == 21
