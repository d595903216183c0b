"""The process that starts the workers, replaces those that die, and ends all of them in time.

It opens the model before there is a worker, and answers no request, so that nothing holds it up:
whatever a worker is doing, it is killed when its time has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from loguru import logger

from shelfmark.errors import ShelfmarkError
from shelfmark.service.settings import Settings
from shelfmark.service.workers.board import Board
from shelfmark.service.workers.failures import Failures, Quiet, describe_error
from shelfmark.service.workers.listening import describe_sockets
from shelfmark.service.workers.preload import can_fork, preload
from shelfmark.service.workers.starting import SIGNALS, Starter

MARGIN_SECONDS = 1.5  # after the time for requests in flight, for a worker to close and to end
HEALTH_SECONDS = 60.0  # without an answer to a health check, after which a worker is killed
PING_SECONDS = 0.5  # between two health checks
STEADY_SECONDS = 5.0  # a worker that has served so long is replaced without a pause
LONGEST_PAUSE = 30.0  # seconds between two starts of a worker that does not last


class Worker:
    """A worker, as the supervisor sees it.

    Args:
        process: that has been started.
        connection: to it.
    """

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process, self.connection = process, connection
        self.pid = self.process.pid or 0
        self.ready_at: float | None = None
        self.failure = ""  # why it did not start
        self._asked_at: float | None = None
        self._ask_from = 0.0

    def check_health(self) -> bool:
        """Read its messages, ask for the next, and return whether it has answered in time."""
        with contextlib.suppress(EOFError, OSError):
            while self.connection.poll():
                self._take(self.connection.recv())
            now = time.monotonic()
            if self._asked_at is not None:
                return now < self._asked_at + HEALTH_SECONDS
            if now >= self._ask_from:
                self._asked_at = now
                self.connection.send(True)
        return True

    def _take(self, message: bool | str) -> None:
        if isinstance(message, str):
            self.failure = message
            return
        self._asked_at, self._ask_from = None, time.monotonic() + PING_SECONDS
        if message and self.ready_at is None:
            self.ready_at = time.monotonic()

    def describe_end(self) -> str:
        """Return how its process has ended."""
        code = self.process.exitcode or 0
        if self.failure:
            return f"failed to start: {self.failure}"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with status {code}"


class Place:
    """One of the workers that should run, and the failures of those that did."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.failures = Failures(longest=LONGEST_PAUSE)


class Supervisor:
    """Runs a number of workers until a signal stops it.

    Args:
        sockets: that the workers accept connections on.
        settings: the number of workers, the model that they start with, and the time for requests
            in flight after the first signal.
        runtime: the folder that the workers share.
    """

    def __init__(self, sockets: list[socket.socket], settings: Settings, runtime: Path) -> None:
        self._sockets = sockets
        self._places = [Place() for _ in range(settings.workers)]
        self._runtime = runtime
        self._settings = settings
        self._limit = settings.shutdown_seconds + MARGIN_SECONDS
        self._dead: list[int] = []  # whose files are still there
        self._uncleared = Quiet(60)
        self._served = False  # whether any worker has been ready
        self._stopped_at: float | None = None
        self._may_exit = False  # at once, at the first signal
        self._wake, self._woken = socket.socketpair()

    def run(self) -> None:
        """Run the workers; return when a signal has stopped all of them.

        Raises:
            ShelfmarkError: the first workers fail to start.
            SystemExit: a second signal came, or workers were killed at the end of their time.
        """
        try:
            with self._handle_signals():
                self._supervise()
        finally:
            self._close([*self._sockets, self._wake, self._woken])

    def _supervise(self) -> None:
        self._starter = self._prepare()
        try:
            while self._stopped_at is None:
                self._start_missing()
                self._wait(PING_SECONDS)
                self._check_workers()
            self._stop(self._stopped_at + self._limit)
        finally:
            self._kill(self._workers())

    def _prepare(self) -> Starter:
        """Open the model, if the workers can share it.

        Raises:
            ShelfmarkError: it does not open.
            SystemExit: a signal came.
        """
        self._may_exit = True  # there is nothing to answer yet
        preloaded = preload(self._settings) if can_fork() else None
        self._may_exit = False
        if sys.platform == "linux" and len(self._places) > 1 and not can_fork():
            logger.warning("each worker opens the model itself, which takes more time and memory: "
                           "this process has several threads")  # fmt: skip
        return Starter(self._sockets, MARGIN_SECONDS, preloaded)

    def _workers(self) -> list[Worker]:
        return [place.worker for place in self._places if place.worker is not None]

    def _start_missing(self) -> None:
        for place in self._places:
            if place.worker is None and place.failures.may_try("start"):
                try:
                    connections = [worker.connection for worker in self._workers()]
                    own: list[Connection | socket.socket] = [*connections, self._wake, self._woken]
                    place.worker = Worker(*self._starter.start(own))
                except OSError as error:
                    pause = place.failures.add("start", describe_error(error))
                    logger.error("no worker can start, trying again in {:.0f} s: {}",
                                 pause, place.failures.reason)  # fmt: skip

    def _wait(self, seconds: float) -> None:
        """Wait for a message or the end of a worker, or for a signal."""
        workers = self._workers()
        events: list[Any] = [self._woken, *(worker.process.sentinel for worker in workers)]
        connection.wait([*events, *(worker.connection for worker in workers)], seconds)
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(64)

    def _check_workers(self) -> None:
        for place in self._places:
            worker = place.worker
            if worker is None:
                continue
            healthy = worker.check_health()
            if worker.ready_at is not None and not self._served:
                self._served = True
                logger.info("listening on {}", describe_sockets(self._sockets))
            if not healthy:
                logger.error("worker {} has not answered for {:.0f} s and is killed",
                             worker.pid, HEALTH_SECONDS)  # fmt: skip
                worker.process.kill()
                worker.process.join(1)
            if not worker.process.is_alive():
                self._replace(place, worker)
        self._clear_dead()

    def _replace(self, place: Place, worker: Worker) -> None:
        """Free the place of a worker that has died.

        Raises:
            ShelfmarkError: it failed to start, and no worker ever has.
        """
        worker.check_health()  # reads its last message
        worker.connection.close()
        place.worker = None
        self._dead.append(worker.pid)
        if not self._served and worker.failure:
            raise ShelfmarkError(worker.failure)
        pause = 0.0
        if worker.ready_at is None or time.monotonic() < worker.ready_at + STEADY_SECONDS:
            pause = place.failures.add("start", worker.describe_end())
        else:
            place.failures.clear()
        if self._stopped_at is None:
            logger.error("worker {} {}; the next one starts in {:.0f} s",
                         worker.pid, worker.describe_end(), pause)  # fmt: skip

    def _clear_dead(self) -> None:
        """Remove the state of dead workers, and keep their counters."""
        from shelfmark.service.telemetry import merge_dead_worker  # needed by few supervisors

        for pid in [*self._dead]:
            try:
                Board(self._runtime).forget(pid)
                merge_dead_worker(self._runtime, pid)
                self._dead.remove(pid)
            except (OSError, ShelfmarkError) as error:
                if self._uncleared.lets_through():
                    logger.warning("the files of worker {} stay: {}", pid, describe_error(error))

    def _stop(self, deadline: float) -> None:
        """End all workers, those that have not ended in time by force."""
        self._close(self._sockets)  # new clients are refused
        for worker in self._workers():
            worker.process.terminate()
        while alive := [worker for worker in self._workers() if worker.process.is_alive()]:
            left = deadline - time.monotonic()
            if left <= 0:
                pids = ", ".join(str(worker.pid) for worker in alive)
                logger.error("killed after {:g} s: worker {}", self._limit, pids)
                raise SystemExit(1)
            connection.wait([worker.process.sentinel for worker in alive], left)

    def _close(self, sockets: list[socket.socket]) -> None:
        for one in sockets:
            one.close()

    def _kill(self, workers: list[Worker]) -> None:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join(1)
        if any(worker.process.is_alive() for worker in workers):
            os._exit(1)  # the system does not end them, and the interpreter would wait for them

    @contextlib.contextmanager
    def _handle_signals(self) -> Iterator[None]:
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        ignored = [one for one in SIGNALS if signal.getsignal(one) is signal.SIG_IGN]
        before = {one: signal.signal(one, self._take_signal) for one in SIGNALS
                  if one not in ignored}  # fmt: skip
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for one, handler in before.items():
                signal.signal(one, handler)

    def _take_signal(self, number: int, frame: object) -> None:
        """Stop; at a second signal, at once.

        Raises:
            SystemExit: at a second signal, and while there is no worker.
        """
        if self._stopped_at is not None:
            raise SystemExit(1)
        self._stopped_at = time.monotonic()
        if self._may_exit:
            raise SystemExit(0)
