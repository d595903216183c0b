"""The metrics of the service for Prometheus, of one process or of all workers together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

WORKERS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the variable of prometheus_client
CONTENT_TYPE = CONTENT_TYPE_LATEST
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Telemetry:
    """The metrics of one worker."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        common: Any = {"registry": self._registry, "namespace": "shelfmark"}
        self.requests = Counter("requests", "Requests", ["method", "route", "status"], **common)
        self.seconds = Histogram("request_seconds", "Time to the whole answer", ["route"], **common)
        self.in_flight = Gauge(
            "requests_in_flight", "Requests in flight", multiprocess_mode="livesum", **common
        )
        self.papers = Counter("papers", "Papers by outcome", ["outcome"], **common)
        self.categories = Counter("categories", "Answers by their category", ["category"], **common)
        self.batches = Histogram("request_papers", "Papers of a request", buckets=BATCHES, **common)
        self.loads = Counter("loads", "Loads of a model by POST /load", ["outcome"], **common)
        self.model = Gauge(
            "model", "1 for the version served", ["version"], multiprocess_mode="livemax", **common
        )
        self.log_lines = Gauge(
            "log_lines", "Lines of the prediction log", ["outcome"],
            multiprocess_mode="livesum", **common,
        )  # fmt: skip

    def exposition(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        folder = os.environ.get(WORKERS_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        _drop_dead_workers(Path(folder))
        merged = CollectorRegistry()
        multiprocess.MultiProcessCollector(merged, folder)  # type: ignore[no-untyped-call]
        return generate_latest(merged)


def _drop_dead_workers(folder: Path) -> None:
    """Remove the live gauges of workers that were killed."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except OSError:
            pass
