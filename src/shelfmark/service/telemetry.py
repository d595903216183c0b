"""What the service counts, for Prometheus: of this process, or of all workers together."""

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

WORKERS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's own variable
CONTENT_TYPE = CONTENT_TYPE_LATEST
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Telemetry:
    """The counters of one worker."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own: Any = {"registry": self._registry, "namespace": "shelfmark"}
        self.requests = Counter("requests", "Requests", ["method", "route", "status"], **own)
        self.seconds = Histogram("request_seconds", "Time to the whole answer", ["route"], **own)
        self.in_flight = Gauge(
            "requests_in_flight", "Requests in hand", multiprocess_mode="livesum", **own
        )
        self.papers = Counter("papers", "Papers by what became of them", ["outcome"], **own)
        self.categories = Counter("categories", "Answers by their category", ["category"], **own)
        self.batches = Histogram("request_papers", "Papers of a request", buckets=BATCHES, **own)
        self.loads = Counter("loads", "Models asked for by POST /load", ["outcome"], **own)
        self.model = Gauge(
            "model", "1 for the version served", ["version"], multiprocess_mode="livemax", **own
        )
        self.log_lines = Gauge(
            "log_lines", "Lines of the prediction log", ["outcome"],
            multiprocess_mode="livesum", **own,
        )  # fmt: skip

    def page(self) -> bytes:
        """Return all counters in Prometheus' text form."""
        folder = os.environ.get(WORKERS_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        _forget_dead(Path(folder))
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _forget_dead(folder: Path) -> None:
    """Leave out what workers that were killed said of the moment."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except OSError:
            pass
