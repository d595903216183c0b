"""A service with a small index, whose encoder is one of hashed words."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from shelfmark.search.build.add import add_papers
from shelfmark.search.index import Index
from shelfmark.search.query.search_query import SearchQuery, SearchResult, ShelfPredictor
from shelfmark.service.settings import Settings
from tests.conftest import ROOT
from tests.support import indexes
from tests.support.moments import FOREVER, PATIENCE, until

# Python that each process of a service runs first, with `PYTHONPATH` below.
REGISTER = """
from shelfmark.config import encoders
from shelfmark.embeddings import families
from tests.support import hashed_encoder
families.MODULES[hashed_encoder.KIND] = hashed_encoder.__name__
encoders.ENCODER_KINDS[hashed_encoder.KIND] = hashed_encoder.HashedConfig
"""
PYTHONPATH = str(ROOT)
PAPERS = 40  # of the first generation of an index that changes
Client = httpx.Client | TestClient


def settings_of(home: Path, folder: Path, **values: Any) -> Settings:
    """Return the settings of a service with the models of one folder and the index of another."""
    chosen = {
        "models": str(home / "models"), "model": "quick", "index": folder / "index",
        "encoders": str(folder / "encoders"), "request_seconds": FOREVER,
    }  # fmt: skip
    return Settings.model_validate(chosen | values)


def add_numbers(folder: Path, numbers: Iterable[int]) -> None:
    """Add papers of random words to the index of a folder."""
    path = indexes.write_records(folder / "harvest.jsonl", indexes.paper_records(numbers))
    add_papers(indexes.index_settings(folder), path)


def index_state(client: Client) -> dict[str, Any]:
    """Return what the service says of its index, empty without one."""
    state: dict[str, Any] = client.get("/ready").json().get("index", {})
    return state


def wait_for_index(client: Client, generation: int = 1) -> None:
    """Wait until the service serves a generation of its index."""
    until(lambda: index_state(client).get("generation") == generation)


def metric(client: Client, name: str) -> float:
    """Return the sum of the series of a metric whose lines begin so."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def open_files(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open or mapped, each time it has.

    Linux adds ` (deleted)` to the name of a file that was removed.
    """
    names = []
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):  # that of the listing itself
            names.append(str(descriptor.readlink()))
    for line in Path("/proc/self/maps").read_text().splitlines():
        names.append(line.partition("/")[1] + line.partition("/")[2])
    return sorted(name for name in names if name.startswith(str(folder)))


class HeldSearches:
    """Stands before `Index.search`: a search waits there until the test has released it.

    `searches` has each search in the order in which they came.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.searches: list[SearchQuery] = []
        self.holds = False
        self._released = threading.Semaphore(0)
        search = Index.search

        def hold(
            index: Index, queries: Sequence[SearchQuery], shelf: ShelfPredictor | None = None
        ) -> list[SearchResult]:
            if self.holds:
                self.searches += queries
                assert self._released.acquire(timeout=PATIENCE)
            return search(index, queries, shelf)

        monkeypatch.setattr(Index, "search", hold)

    def wait_for(self, count: int) -> None:
        """Wait until so many searches have come."""
        until(lambda: len(self.searches) >= count)

    def release_one(self) -> None:
        """Let one search go on."""
        self._released.release()

    def release(self) -> None:
        """Let all searches go on."""
        self.holds = False
        self._released.release(1000)


class Searchers:
    """Clients that search while the block runs, and check what they find.

    A paper that a generation has added is found by all answers of it and of later ones, and the
    number of papers is that of the generation.
    """

    def __init__(self, url: httpx.URL | str, clients: int = 3) -> None:
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]
        self.papers: dict[int, int] = {1: PAPERS}
        self.answers: list[tuple[int, httpx.Response]] = []

    def __enter__(self) -> Searchers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, turn: int) -> None:
        with httpx.Client(base_url=self._url, timeout=PATIENCE) as client:
            while not self._over.is_set():
                number = turn % (max(self.papers.values()) + 1)
                search = {"text": f"unique{number}", "k": 3, "words": 1, "explain": False}
                body: Any = search if turn % 2 else {"searches": [search] * 5}
                self.answers.append((number, client.post("/search", json=body)))
                turn += 1

    def wait_for_answers(self, more: int) -> None:
        """Wait until so many more searches are answered."""
        enough = len(self.answers) + more
        until(lambda: len(self.answers) >= enough)

    def check(self) -> set[int]:
        """Check all answers, and return the generations that gave them."""
        generations = set()
        for number, answer in self.answers:
            assert answer.status_code == 200, answer.text
            content = answer.json()
            index = content["index"]
            generations.add(index["generation"])
            assert index["papers"] == self.papers[index["generation"]]
            for found in content.get("searches", [content]):
                assert found["papers"] == index["papers"]
                ids = [paper["id"] for paper in found["results"]]
                assert ids[:1] == [f"1501.{number:05d}"] * (number < index["papers"])
        return generations
