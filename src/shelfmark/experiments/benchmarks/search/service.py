"""An index behind the service: the time of a search over HTTP, and papers added meanwhile."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.child import run_child
from shelfmark.experiments.benchmarks.client import Client, refusal
from shelfmark.search.papers import PaperRow

PATH = "/search"
CONNECTIONS = 8
EACH = 60  # searches of each of several connections
PATIENCE = 900.0  # seconds to wait for the index to open

Body = dict[str, Any]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of searches: the median, the 95th and the 99th percentile; and their rate."""

    p50: float
    p95: float
    p99: float
    rate: float


class Searcher:
    """Asks a service over one connection.

    Args:
        port: of the service on this machine.
    """

    def __init__(self, port: int) -> None:
        self._client = Client(f"http://127.0.0.1:{port}")

    def ask(self, body: Body) -> dict[str, Any]:
        """Return the answer to a search.

        Raises:
            ShelfmarkError: the service answers with another status than 200.
        """
        return self._client.ask(PATH, orjson.dumps(body))

    def is_answered(self) -> bool:
        """Whether the service has opened its index.

        Raises:
            ShelfmarkError: it has none, or refuses the search.
        """
        status, content = self._client.post(PATH, orjson.dumps({"text": "robot", "k": 1}))
        if status not in (200, 503):
            raise refusal(PATH, status, content)
        return status == 200


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds.

    Raises:
        ShelfmarkError: it does not hold in time; names what was waited for.
    """
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > PATIENCE:
            raise ShelfmarkError(f"the service: {what} did not happen in {PATIENCE:.0f} s")
        time.sleep(0.05)


def measure_one(port: int, bodies: Sequence[Body]) -> Latency:
    """Return the latency of searches one after the other, over one connection."""
    return _summarize(*_timed(port, bodies))


def measure_several(port: int, bodies: Sequence[Body]) -> Latency:
    """Return the latency of searches over several connections at a time."""
    start = time.perf_counter()
    parts = [[*bodies[place:], *bodies[:place]][:EACH] for place in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        runs = list(pool.map(lambda part: _timed(port, part)[0], parts))
    return _summarize([one for run in runs for one in run], time.perf_counter() - start)


def _timed(port: int, bodies: Sequence[Body]) -> tuple[list[float], float]:
    searcher, times = Searcher(port), []
    searcher.ask(bodies[0])
    start = time.perf_counter()
    for body in bodies:
        begin = time.perf_counter()
        searcher.ask(body)
        times.append(time.perf_counter() - begin)
    return times, time.perf_counter() - start


def _summarize(times: Sequence[float], seconds: float) -> Latency:
    p95, p99 = np.percentile(times, [95, 99])
    return Latency(1e3 * statistics.median(times), 1e3 * p95, 1e3 * p99, len(times) / seconds)


def memory_of(pid: int) -> dict[str, float]:
    """Return the memory in MB of a process and its children: resident, proportional, and own."""
    process = psutil.Process(pid)
    used = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
    names = ("rss", "pss", "uss")
    return {name: sum(getattr(one, name, 0) for one in used) / 2**20 for name in names}


def write_additions(papers: Sequence[PaperRow], path: Path, count: int) -> str:
    """Write new papers, made of the sentences of others, and return a word that the last one has.

    Args:
        papers: real ones.
        path: of the JSON lines.
        count: number of papers.
    """
    marker = "zzmarkerzz"
    with path.open("wb") as file:
        for number in range(count):
            paper, other = papers[number % len(papers)], papers[(number + 1) % len(papers)]
            abstract = f"{other.abstract} {paper.abstract}"
            record = {
                "id": f"2912.{number:05d}",
                "title": f"{paper.title} {number}" + f" {marker}" * (number == count - 1),
                "abstract": abstract,
                "categories": paper.categories,
                "authors": paper.authors,
                "versions": [{"version": "v1", "created": "Mon, 2 Nov 2026 00:00:00 GMT"}],
                "update_date": "2026-11-02",
            }
            file.write(orjson.dumps(record) + b"\n")
    return marker


def measure_addition(port: int, command: Sequence[str], marker: str) -> dict[str, float]:
    """Add papers while searches go on, and return the seconds until the service finds the last.

    Args:
        port: of the service.
        command: that adds the papers.
        marker: a word that the last of them has.

    Raises:
        ShelfmarkError: the command fails, or the papers are not found.
    """
    stopped, failures, searches = threading.Event(), [], [0]

    def keep_asking() -> None:
        searcher = Searcher(port)
        while not stopped.is_set():
            try:
                searcher.ask({"text": "a robot arm", "k": 3})
            except Exception as error:  # whatever it is, it is a failure that is counted
                failures.append(error)
            searches[0] += 1

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        start = time.monotonic()
        run_child(command)
        searcher = Searcher(port)
        wait_until(lambda: _finds(searcher, marker), "finding an added paper")
        seconds = time.monotonic() - start
    finally:
        stopped.set()
        asking.join()
    return {"seconds": seconds, "failures": len(failures), "searches": searches[0]}


def _finds(searcher: Searcher, marker: str) -> bool:
    hits = searcher.ask({"text": marker, "words": 1, "k": 1})["results"]
    return bool(hits) and marker in hits[0]["title"]


def add_command(index: Path, encoders: str, file: Path) -> list[str]:
    """Return the command that adds a file to an index."""
    program = [sys.executable, "-m", "shelfmark.cli", "index", "--add", str(file)]
    return [*program, f"paths.index={index}", f"paths.encoders={encoders}"]
