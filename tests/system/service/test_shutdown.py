"""SIGTERM ends the service within its limit, whatever its workers are doing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import orjson
import psutil
import pytest

from tests.support.moments import FOREVER, PATIENCE, until
from tests.support.serving import (
    ROBOT,
    SPAWNED,
    free_port,
    log_of,
    start,
    wait_until_ready,
    workers_of,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send")

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HANG = "hang here"
LONG = HANG * 4500  # which the thread predicts
# What a worker does for ever, once it is asked to: the first keeps the interpreter's lock.
LOOPS = {
    "matching": "re.match('(a+)+$', 'a' * 64 + 'b')",
    "waiting": f"time.sleep({FOREVER})",
}
HOOK = """
import re, sys, time

def hang():
    print("hanging", file=sys.stderr, flush=True)
    {loop}

{patch}
"""
PREDICTING = f"""
from shelfmark.models.artifact import Model
predict = Model.probabilities
def probabilities(model, texts):
    if any("{HANG}" in text for text in texts):
        hang()
    return predict(model, texts)
Model.probabilities = probabilities
"""
OPENING = """
from shelfmark.models.registry import Registry
opened = Registry.open
def open_or_hang(registry, version, *rest):
    if version == "two":
        hang()
    return opened(registry, version, *rest)
Registry.open = open_or_hang
"""
LOGGING = """
from shelfmark.monitoring import prediction_log
prediction_log._RotatingFile.append = lambda file, lines: hang()
"""
IMPORTING = "hang()"


# A worker that gets SIGTERM before it accepts connections ends without a word.
ACCEPTING = """
import sys
from shelfmark.service.workers.process import WorkerServer
async def startup_and_say(server, sockets=None, startup=WorkerServer.startup):
    await startup(server, sockets)
    print("accepting", file=sys.stderr, flush=True)
WorkerServer.startup = startup_and_say
"""


class Service:
    """A service whose time for requests in flight is short, and the workers that it had."""

    def __init__(self, house: Path, patch: str, workers: int, before: str, **env: str) -> None:
        self.port = free_port()
        settings = {
            "SHELFMARK_SHUTDOWN_SECONDS": "1",
            "SHELFMARK_ADMIN_KEY": "admin-key-of-tests",
        } | env
        model = settings.pop("model", "one")
        self.process = start(
            house,
            self.port,
            repr(model),
            str(workers),
            before=ACCEPTING + before,
            patch=patch,
            **settings,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE)
        self._log = log_of(house, self.port)
        self._count = workers
        self.workers: list[psutil.Process] = []

    def wait_until_ready(self) -> None:
        wait_until_ready(self.process, self.client)
        until(lambda: self.log().count("accepting") == self._count)
        self.watch_workers()

    def watch_workers(self) -> None:
        self.workers = [psutil.Process(pid) for pid in workers_of(self.process)]
        assert len(self.workers) == self._count

    def log(self) -> str:
        return self._log.read_text()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def hold(self, path: str, body: object) -> socket.socket:
        """Send a request that the service does not answer, and wait until it hangs."""
        content = orjson.dumps(body)
        line = self.connect()
        head = HEAD.replace(b"/predict", path.encode()) + b"X-Admin-Key: admin-key-of-tests\r\n"
        line.sendall(head + b"Content-Length: %d\r\n\r\n" % len(content) + content)
        until(lambda: "hanging" in self.log())
        return line

    def wait_until_gone(self) -> int:
        """Wait for the end of the process and of all workers; return the status."""
        status = self.process.wait(PATIENCE)
        until(lambda: not any(worker.is_running() for worker in self.workers))
        assert "Traceback" not in self.log(), self.log()
        return status


@contextlib.contextmanager
def running(
    house: Path, patch: str = "", workers: int = 1, before: str = "", **env: str
) -> Iterator[Service]:
    service = Service(house, patch, workers, before, **env)
    try:
        yield service
    finally:
        service.client.close()
        service.process.kill()
        service.process.wait(PATIENCE)


def lines_in(folder: Path) -> int:
    """Return the number of lines in the closed files of a prediction log."""
    assert not list(folder.glob("*.open"))
    return sum(len(file.read_bytes().splitlines()) for file in folder.glob("*.jsonl"))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("loop", "status"), [("matching", 1), ("waiting", 0)])
def test_a_prediction_that_does_not_end(
    house: Path, tmp_path: Path, loop: str, status: int, workers: int
) -> None:
    hook = HOOK.format(loop=LOOPS[loop], patch=PREDICTING)
    with running(house, hook, workers, SHELFMARK_LOG_FOLDER=str(tmp_path)) as service:
        service.wait_until_ready()
        assert service.client.post("/predict", json={"text": ROBOT}).status_code == 200
        until(lambda: any(file.stat().st_size for file in tmp_path.iterdir()))
        with service.hold("/predict", {"text": LONG}) as line:
            service.process.send_signal(signal.SIGTERM)
            assert service.wait_until_gone() == status
            if loop == "waiting":  # a worker that can answer does, and closes its log
                assert line.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
        assert ("killed after" in service.log()) == (status == 1)
    if loop == "waiting":
        assert lines_in(tmp_path) == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_a_prediction_on_the_event_loop_that_does_not_end(house: Path, loop: str) -> None:
    hook = HOOK.format(loop=LOOPS[loop], patch=PREDICTING)
    with running(house, hook) as service:
        service.wait_until_ready()
        with service.hold("/predict", {"text": HANG}):
            service.process.send_signal(signal.SIGTERM)
            assert service.wait_until_gone() == 1
        assert "killed after" in service.log()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_model_that_does_not_open(house: Path, loop: str) -> None:
    hook = HOOK.format(loop=LOOPS[loop], patch=OPENING)
    with running(house, hook) as service:
        service.wait_until_ready()
        with service.hold("/load", {"version": "two"}):
            service.process.send_signal(signal.SIGTERM)
            service.wait_until_gone()


@pytest.mark.parametrize("patch", [OPENING, IMPORTING], ids=["opening its model", "importing"])
@pytest.mark.parametrize("before", ["", SPAWNED], ids=["the supervisor", "the workers"])
def test_a_service_that_is_still_starting(house: Path, patch: str, before: str) -> None:
    hook = HOOK.format(loop=LOOPS["waiting"], patch=patch)
    env = {"model": "two", "SHELFMARK_SHUTDOWN_SECONDS": str(FOREVER)}
    with running(house, hook, 2, before, **env) as service:
        until(lambda: service.log().count("hanging") == (2 if before else 1))
        if before:
            service.watch_workers()
        service.process.send_signal(signal.SIGTERM)
        assert service.wait_until_gone() == 0  # at once: they have nothing to answer


def test_a_log_that_takes_no_line(house: Path, tmp_path: Path) -> None:
    hook = HOOK.format(loop=LOOPS["waiting"], patch=LOGGING)
    with running(house, hook, SHELFMARK_LOG_FOLDER=str(tmp_path)) as service:
        service.wait_until_ready()
        assert service.client.post("/predict", json={"text": ROBOT}).status_code == 200
        until(lambda: "hanging" in service.log())
        service.process.send_signal(signal.SIGTERM)
        assert service.wait_until_gone() == 0


def test_a_stopped_worker_beside_one_that_ends_in_order(house: Path, tmp_path: Path) -> None:
    with running(house, workers=2, SHELFMARK_LOG_FOLDER=str(tmp_path)) as service:
        service.wait_until_ready()
        stopped, other = service.workers
        stopped.suspend()
        until(lambda: stopped.status() == psutil.STATUS_STOPPED)
        service.process.send_signal(signal.SIGTERM)
        assert service.wait_until_gone() == 1
        assert f"killed after 2.5 s: worker {stopped.pid}" in service.log()
        assert f"Finished server process [{other.pid}]" in service.log()


def test_idle_connections_unfinished_bodies_and_a_client_that_never_reads(house: Path) -> None:
    with running(house) as service, contextlib.ExitStack() as stack:
        service.wait_until_ready()
        for number in range(300):
            line = stack.enter_context(service.connect())
            if number % 2:
                line.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        body = orjson.dumps({"papers": [{"text": ROBOT}] * 200, "top_k": 200})
        unread = stack.enter_context(service.connect())
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
        unread.sendall(20 * request)  # more answers than the buffers on the way hold
        until(lambda: "POST /predict 200" in service.log())
        service.process.send_signal(signal.SIGTERM)
        assert service.wait_until_gone() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(house: Path, second: signal.Signals) -> None:
    hook = HOOK.format(loop=LOOPS["waiting"], patch=PREDICTING)
    with running(house, hook, 2, SHELFMARK_SHUTDOWN_SECONDS=str(FOREVER)) as service:
        service.wait_until_ready()
        with service.hold("/predict", {"text": LONG}):
            service.process.send_signal(signal.SIGTERM)
            # The other worker may not have started yet, and then ends without a word.
            until(lambda: "Shutting down" in service.log())
            service.process.send_signal(second)
            assert service.wait_until_gone() == 1


def test_ctrl_c_in_a_terminal_answers_the_requests_in_flight(house: Path) -> None:
    leads = "import os\nif __name__ == '__main__': os.setpgrp()"
    body = orjson.dumps({"text": ROBOT})
    head = HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
    with running(house, "", 2, leads, SHELFMARK_SHUTDOWN_SECONDS=str(FOREVER)) as service:
        service.wait_until_ready()
        with service.connect() as line:
            line.sendall(head)
            assert line.recv(100).startswith(b"HTTP/1.1 100 ")
            os.killpg(service.process.pid, signal.SIGINT)  # as the terminal sends it
            # The other worker may not have started yet, and then ends without a word.
            until(lambda: "Shutting down" in service.log())
            line.sendall(body)
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        assert service.wait_until_gone() == 0


def test_the_group_of_processes_may_get_sigterm_as_a_whole(house: Path) -> None:
    leads = "import os\nif __name__ == '__main__': os.setpgrp()"
    with running(house, "", 2, leads) as service:
        service.wait_until_ready()
        os.killpg(service.process.pid, signal.SIGTERM)
        assert service.wait_until_gone() == 0


def test_a_worker_with_the_interpreters_lock_is_replaced_by_the_health_check(house: Path) -> None:
    hook = HOOK.format(loop=LOOPS["matching"], patch=PREDICTING)
    hook += "from shelfmark.service.workers import supervisor\nsupervisor.HEALTH_SECONDS = 3.0\n"
    with running(house, hook) as service:
        service.wait_until_ready()
        with service.hold("/predict", {"text": LONG}):
            until(lambda: service.log().count("serving one") == 2)
        assert service.client.post("/predict", json={"text": ROBOT}).status_code == 200
