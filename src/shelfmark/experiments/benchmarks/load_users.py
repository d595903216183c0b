"""The users of `inv load-test`: a locust file, run in a process of its own that prints a JSON line.

Locust patches the sockets and threads of every process that imports it: no module imports this one.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
import orjson
from locust import FastHttpUser, constant, events, task
from locust.env import Environment

SECONDS = float(os.environ["SHELFMARK_LOAD_SECONDS"])
# One body a line; without any, the users ask whether the service is alive.
BODIES = Path(os.environ["SHELFMARK_LOAD_BODIES"]).read_bytes().splitlines()
PAPERS = [len(orjson.loads(body).get("papers", "1")) for body in BODIES]
HEADERS = {
    "Content-Type": "application/json",
    "X-API-Key": os.environ.get("SHELFMARK_API_KEY", ""),
}


class User(FastHttpUser):
    """Asks one thing after another, each as soon as the last is answered."""

    wait_time = constant(0)
    turns = itertools.cycle(zip(BODIES, PAPERS, strict=True))

    @task
    def ask(self) -> None:
        """Ask the next thing."""
        if not BODIES:
            self.client.get("/health")
            return
        body, papers = next(self.turns)
        # The body goes as it is: handed over as `json`, every request would be encoded anew.
        self.client.request("POST", "/predict", data=body, headers=HEADERS, context={"n": papers})  # type: ignore[arg-type]


class Record:
    """What became of the requests."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self.papers = 0
        self.errors = 0
        self.first_error = ""
        self.began = self.ended = self.worked = 0.0

    def begin(self, environment: Environment, **more: Any) -> None:
        """Start the clocks, and end the run in time; locust's own limit counts its preparations."""
        assert environment.runner is not None
        gevent.spawn_later(SECONDS, environment.runner.quit)
        self.began, self.worked = time.perf_counter(), time.process_time()

    def note(
        self,
        response_time: float,
        exception: Exception | None,
        context: dict[str, int],
        **more: Any,
    ) -> None:
        """Take down one request."""
        self.ended = time.perf_counter()
        if exception is not None:
            self.errors += 1
            self.first_error = self.first_error or str(exception) or type(exception).__name__
            return
        self.milliseconds.append(response_time)
        self.papers += context.get("n", 0)

    def end(self, **more: Any) -> None:
        """Stop the clocks."""
        self.worked = time.process_time() - self.worked

    def tell(self, **more: Any) -> None:
        """Print everything as the last line."""
        seconds = max(self.ended - self.began, 1e-9)
        told = {
            "milliseconds": self.milliseconds,
            "papers": self.papers,
            "errors": self.errors,
            "first_error": self.first_error,
            "seconds": seconds,
            "own_cpu": self.worked / seconds,
        }
        sys.stdout.write(f"{orjson.dumps(told).decode()}\n")


record = Record()
for event, listener in (
    (events.test_start, record.begin),
    (events.request, record.note),
    (events.test_stop, record.end),
    (events.quit, record.tell),
):
    event.add_listener(listener)  # type: ignore[no-untyped-call]
