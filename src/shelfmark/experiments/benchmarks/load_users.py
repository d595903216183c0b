"""The users of `shelfmark load-test`: a locust file, run in a child that prints a JSON line.

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
from locust.runners import Runner

from shelfmark.core import environment

SECONDS = float(os.environ["SHELFMARK_LOAD_SECONDS"])
# One body a line; without any, the users request /health.
BODIES = Path(os.environ["SHELFMARK_LOAD_BODIES"]).read_bytes().splitlines()
PAPERS = [len(orjson.loads(body).get("papers", "1")) for body in BODIES]
HEADERS = {
    "Content-Type": "application/json",
    "X-API-Key": environment.read_key("SHELFMARK_API_KEY"),
}


class User(FastHttpUser):
    """Sends one request after another, each as soon as the last is answered."""

    wait_time = constant(0)
    turns = itertools.cycle(zip(BODIES, PAPERS, strict=True))

    @task
    def send_request(self) -> None:
        """Send the next request."""
        if not BODIES:
            self.client.get("/health")
            return
        body, papers = next(self.turns)
        # Encoded once: given as `json`, the body would be encoded again for each request.
        self.client.request("POST", "/predict", data=body, headers=HEADERS, context={"n": papers})  # type: ignore[arg-type]


class Record:
    """The outcomes of all requests."""

    def __init__(self) -> None:
        self._runner: Runner | None = None
        self.milliseconds: list[float] = []
        self.papers = 0
        self.errors = 0
        self.first_error = ""
        self.started_at = self.last_answer_at = self.cpu_seconds = 0.0

    def begin(self, environment: Environment, **more: Any) -> None:
        """Start the clocks."""
        self._runner = environment.runner
        self.started_at, self.cpu_seconds = time.perf_counter(), time.process_time()

    def schedule_end(self, **more: Any) -> None:
        """End the run after its length, counted from when all users ask.

        Locust's own limit includes its preparations.
        """
        assert self._runner is not None
        gevent.spawn_later(SECONDS, self._runner.quit)

    def add(
        self,
        response_time: float,
        exception: Exception | None,
        context: dict[str, int],
        **more: Any,
    ) -> None:
        """Record one request."""
        self.last_answer_at = time.perf_counter()
        if exception is not None:
            self.errors += 1
            self.first_error = self.first_error or str(exception) or type(exception).__name__
            return
        self.milliseconds.append(response_time)
        self.papers += context.get("n", 0)

    def end(self, **more: Any) -> None:
        """Stop the clocks."""
        self.cpu_seconds = time.process_time() - self.cpu_seconds

    def write(self, **more: Any) -> None:
        """Write everything to standard output, as its last line."""
        seconds = max(self.last_answer_at - self.started_at, 1e-9)
        values = {
            "milliseconds": self.milliseconds,
            "papers": self.papers,
            "errors": self.errors,
            "first_error": self.first_error,
            "seconds": seconds,
            "own_cpu": self.cpu_seconds / seconds,
        }
        sys.stdout.write(f"{orjson.dumps(values).decode()}\n")


record = Record()
for event, listener in (
    (events.test_start, record.begin),
    (events.spawning_complete, record.schedule_end),
    (events.request, record.add),
    (events.test_stop, record.end),
    (events.quit, record.write),
):
    event.add_listener(listener)  # type: ignore[no-untyped-call]
