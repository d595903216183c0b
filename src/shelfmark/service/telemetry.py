"""The metrics of the service for Prometheus, of one process or of all workers together.

No client and no length of life makes them grow: each label has a bounded number of values. The
workers' files are as large from the start as they may become, so that a disk that fills up later
takes no metric, and the counters of workers that have died are kept in one file.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections import Counter as Sums
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import filelock
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.registry import Collector

from shelfmark.core import environment, files
from shelfmark.monitoring.log_line import AnswerSummary
from shelfmark.service.workers.board import METRICS_FOLDER, Overview

CONTENT_TYPE = CONTENT_TYPE_LATEST
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
MAX_CATEGORIES, MAX_LABEL = 500, 64  # values of a label, and characters of one
RESULTS = (0, 1, 10, 20, 50, 100, 200, 500, 1000)
FILE_BYTES = {
    "counter": 1 << 21, "histogram": 1 << 17, "gauge_livesum": 1 << 16, "gauge_livemin": 1 << 12,
}  # fmt: skip
SUMMED = ("counter", "histogram")  # the kinds of files that outlive their worker
DEAD = 0  # in place of the process id, in the names of the files of all dead workers
LOCK_SECONDS = 1.0


class Telemetry:
    """The metrics of one worker."""

    def __init__(self) -> None:
        folder = environment.read(METRICS_FOLDER)
        self._folder = Path(folder) if folder else None
        if self._folder is not None:
            _reserve_files(self._folder)
            own = os.getpid()  # a worker forks no more: it need not ask at each count
            values.ValueClass = values.MultiProcessValue(lambda: own)  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        common: Any = {"registry": self._registry, "namespace": "shelfmark"}
        self.requests = Counter("requests", "Requests", ["method", "route", "status"], **common)
        self.seconds = Histogram("request_seconds", "Time to the whole answer", ["route"], **common)
        self.in_flight = Gauge(
            "requests_in_flight", "Requests in flight", multiprocess_mode="livesum", **common
        )
        self.papers = Counter("papers", "Papers by outcome", ["outcome"], **common)
        self.verdicts = Counter("verdicts", "Answers by their verdict", ["verdict"], **common)
        self.scopes = Counter("scopes", "Answers by the scope of the text", ["scope"], **common)
        self.categories = Counter("categories", "Answers by their category", ["category"], **common)
        self.batches = Histogram("request_papers", "Papers of a request", buckets=BATCHES, **common)
        self.loads = Counter("loads", "Loads of a model by POST /load", ["outcome"], **common)
        self.follow_failures = Counter(
            "follow_failures", "Failed attempts of a worker to follow a load", **common
        )
        self.log_lines = Gauge(
            "log_lines", "Lines of the prediction log", ["outcome"],
            multiprocess_mode="livesum", **common,
        )  # fmt: skip
        self._categories: set[str] = set()
        # labels() takes longer than to count.
        self._request = functools.cache(self.requests.labels)
        self._time = functools.cache(self.seconds.labels)
        self._outcome = functools.cache(self.papers.labels)
        self._outcome("refused")  # so that it is there before the first one
        self._verdict = functools.cache(self.verdicts.labels)
        self._scope = functools.cache(self.scopes.labels)
        self._category = functools.cache(self.categories.labels)
        self._add_searches(common)

    def _add_searches(self, common: Any) -> None:
        """Add the metrics of the index and of its searches."""
        self.searches = Counter("searches", "Searches by what they search for", ["by"], **common)
        self.search_seconds = Histogram("search_seconds", "Time of one search", **common)
        self.search_results = Histogram(
            "search_results", "Papers of an answer", buckets=RESULTS, **common
        )
        self.embeddings = Counter("embeddings", "Texts by outcome", ["outcome"], **common)
        self.index_swaps = Counter(
            "index_swaps", "Times that a worker has served an index", **common
        )
        self.index_failures = Counter(
            "index_failures", "Failed attempts of a worker to open the index", **common
        )
        self.index_failing = Gauge(
            "index_failing", "Workers that do not serve the index as it is now",
            multiprocess_mode="livesum", **common,
        )  # fmt: skip
        # Of all workers the least: 0 until each of them serves an index.
        least: Any = {"multiprocess_mode": "livemin", **common}
        self.index_papers = Gauge("index_papers", "Papers of the index", **least)
        self.index_generation = Gauge("index_generation", "Generation of the index", **least)

    def count_answers(self, answers: Iterable[AnswerSummary]) -> None:
        """Count answers by whether they may be acted on, their verdict, scope and category."""
        sums = Sums((answer.verdict, answer.scope, answer.category) for answer in answers)
        for (verdict, scope, category), count in sums.items():
            self._outcome("confident" if verdict == "sure" else "unsure").inc(count)
            self._verdict(verdict).inc(count)
            self._scope(scope).inc(count)
            self.count_category(category, count)

    def count_refused(self, papers: int) -> None:
        """Count the invalid papers of a list."""
        if papers:
            self._outcome("refused").inc(papers)

    def count_index(self, papers: int, generation: int) -> None:
        """Count that this worker serves an index."""
        self.index_swaps.inc()
        self.index_papers.set(papers)
        self.index_generation.set(generation)

    def count_request(self, method: str, route: str, status: str, seconds: float) -> None:
        """Count a request; a method that HTTP does not define counts as `other`.

        Args:
            method: of the request, as the client sent it.
            route: the path of the route, of which there are few.
            status: of the response.
            seconds: the time that it took.
        """
        self._request(method if method in METHODS else OTHER, route, status).inc()
        self._time(route).observe(seconds)

    def count_category(self, category: str, count: int = 1) -> None:
        """Count answers by their category; further ones than a model has count as `other`."""
        if category not in self._categories:
            if len(self._categories) >= MAX_CATEGORIES or len(category) > MAX_LABEL:
                category = OTHER
            self._categories.add(category)
        self._category(category).inc(count)

    def exposition(self, overview: Overview | None = None) -> bytes:
        """Return all metrics in the text format of Prometheus.

        Args:
            overview: what the workers serve, for the gauges of models.

        Raises:
            OSError: the files of the workers cannot be read.
        """
        source: Collector = self._registry
        if self._folder is not None:
            source = multiprocess.MultiProcessCollector(None, str(self._folder))  # type: ignore[no-untyped-call]
        with _lock(self._folder):
            text = generate_latest(source)
        return text if overview is None else text + generate_latest(_ModelGauges(overview))


class _ModelGauges(Collector):
    """The gauges of the models, of as many versions as are served now."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        served = Sums(state.model for state in self._overview.workers)
        versions = dict.fromkeys(served, 1)
        yield _gauge("shelfmark_model", "1 for a version served", versions)
        yield _gauge("shelfmark_workers", "Workers by the version that they serve", served)
        wanted = {self._overview.wanted.version: 1}
        yield _gauge("shelfmark_model_wanted", "1 for the version to serve", wanted)
        behind = GaugeMetricFamily(
            "shelfmark_workers_behind", "Workers that do not serve the version to serve"
        )
        behind.add_metric([], len(self._overview.behind))
        yield behind


def _gauge(name: str, description: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, description, labels=["version"])
    for version, value in values.items():
        family.add_metric([version], value)
    return family


def merge_dead_worker(folder: Path, pid: int) -> None:
    """Add the counters of a worker that has died to those of all dead workers.

    Raises:
        OSError: the folder cannot be read or written; the worker's files stay.
    """
    with _lock(folder):
        for kind in SUMMED:
            dead, own = folder / f"{kind}_{DEAD}.db", folder / f"{kind}_{pid}.db"
            if own.exists():
                _write_sums(dead, (path for path in (dead, own) if path.exists()))
                own.unlink()
        for path in folder.glob(f"gauge_*_{pid}.db"):
            path.unlink(missing_ok=True)


def _write_sums(target: Path, sources: Iterable[Path]) -> None:
    sums: Sums[str] = Sums()
    for source in sources:
        for key, value, *_ in MmapedDict.read_all_values_from_file(str(source)):  # type: ignore[no-untyped-call]
            sums[key] += value
    aside = target.with_suffix(".aside")
    aside.unlink(missing_ok=True)
    _reserve(aside, FILE_BYTES[target.stem.partition("_")[0]])
    merged = MmapedDict(str(aside))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        merged.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    merged.close()  # type: ignore[no-untyped-call]
    aside.replace(target)


@contextlib.contextmanager
def _lock(folder: Path | None) -> Iterator[None]:
    """Let no counter be read while it moves from one file to another.

    A process that was stopped with the lock delays the others, but does not stop them.
    """
    if folder is None:
        yield
        return
    lock = filelock.FileLock(folder / "metrics.lock", timeout=LOCK_SECONDS)
    with contextlib.suppress(filelock.Timeout):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _reserve_files(folder: Path) -> None:
    """Take the space of this worker's files.

    Raises:
        ShelfmarkError: the disk does not have it.
    """
    for kind, size in FILE_BYTES.items():
        path = folder / f"{kind}_{os.getpid()}.db"
        with files.report_write_errors(path):
            _reserve(path, size)


def _reserve(path: Path, size: int) -> None:
    # A write to a mapped page that the disk has no room for would kill the process.
    with path.open("ab") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
