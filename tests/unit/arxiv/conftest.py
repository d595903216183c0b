"""A local server, a clock that does not wait, and a harvest from the server by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.arxiv import harvest, oai
from tests.support import oai_server
from tests.support.oai_server import Held, Repository

SINCE = "2026-11-01"


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
) -> harvest.HarvestResult:
    asked = oai.Repository(repository.url, **options)
    return harvest.harvest_papers(out, since, sets, asked, oai.Clock(clock.now, clock.sleep))


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


def token(skip: int) -> str:
    asked = f"verb=ListRecords&amp;metadataPrefix=arXivRaw&amp;from={SINCE}&amp;skip={skip}"
    return f"<resumptionToken>{asked}</resumptionToken>"
