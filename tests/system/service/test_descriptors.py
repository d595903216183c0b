"""A worker without a free descriptor: it answers, says so once a second, and recovers."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from tests.support.moments import FOREVER, PATIENCE, until
from tests.support.serving import (
    ROBOT,
    free_port,
    log_of,
    start,
    wait_until_ready,
    workers_of,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="prlimit() sets the limits of another process"
)
WAITING = "new connections wait: Too many open files"


@contextlib.contextmanager
def limited(pid: int, count: int) -> Iterator[None]:
    """Let a process open so many descriptors more during the block."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + count, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_a_worker_answers_logs_seldom_and_recovers(
    house: Path, tmp_path: Path
) -> None:
    port = free_port()
    env = {"SHELFMARK_ADMIN_KEY": "admin-key-of-tests", "SHELFMARK_LOG_FOLDER": str(tmp_path),
           "SHELFMARK_HEADER_SECONDS": str(FOREVER)}  # fmt: skip
    process = start(house, port, "'one'", before=KEEP_ALIVE, **env)
    address = ("127.0.0.1", port)

    def log() -> str:
        return log_of(house, port).read_text()

    try:
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)
        with client, contextlib.ExitStack() as stack:
            wait_until_ready(process, client)
            (worker,) = workers_of(process)
            more = count_more_descriptors(worker)
            with limited(worker, 20):
                began = time.monotonic()
                for _ in range(300):
                    stack.enter_context(socket.create_connection(address, timeout=PATIENCE))
                until(lambda: log().count(WAITING) >= 3)
                # The connection that is there is served; what needs a file fails, and says so.
                assert client.get("/health").status_code == 200
                answer = client.post("/predict", json={"text": ROBOT})
                assert answer.status_code == 200, answer.text
                until(lambda: "dropped so far; last: [Errno 24] Too many open files" in log())
                loaded = client.post(
                    "/load", json={"version": "two"}, headers={"X-Admin-Key": "admin-key-of-tests"}
                )
                assert loaded.status_code in (409, 503)
                assert client.get("/metrics").status_code == 503
                assert client.get("/ready").json()["model"] == "one"
                lines, seconds = log().count(WAITING), time.monotonic() - began
                assert lines <= seconds + 1
            # With room, the connections that waited are served, and new ones.
            with socket.create_connection(address, timeout=PATIENCE) as late:
                late.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert late.recv(100).startswith(b"HTTP/1.1 200 ")
            stack.close()
            loaded = client.post(
                "/load", json={"version": "two"}, headers={"X-Admin-Key": "admin-key-of-tests"}
            )
            assert loaded.status_code == 200
            assert client.post("/predict", json={"text": ROBOT}).json()["model"] == "two"
            assert client.get("/metrics").status_code == 200
            until(lambda: more() <= 40)
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert "Traceback" not in log(), log()
    finally:
        process.kill()
        process.wait(PATIENCE)


# The connection of the test lives on, however slow the machine is.
KEEP_ALIVE = f"""
import uvicorn
config = uvicorn.Config.__init__
def patient(self, *arguments, **options):
    config(self, *arguments, **options, timeout_keep_alive={FOREVER})
uvicorn.Config.__init__ = patient
"""


def count_more_descriptors(pid: int) -> Callable[[], int]:
    """Return a function that says how many descriptors more a process has."""
    process = psutil.Process(pid)
    before: int = process.num_fds()
    return lambda: process.num_fds() - before


def test_sigterm_while_connections_wait_is_no_traceback(house: Path) -> None:
    port = free_port()
    process = start(house, port, "'one'", SHELFMARK_HEADER_SECONDS=str(FOREVER),
                    SHELFMARK_SHUTDOWN_SECONDS="1")  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_until_ready(process, client)
        (worker,) = workers_of(process)
        with limited(worker, 20), contextlib.ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            until(lambda: WAITING in log_of(house, port).read_text())
            process.terminate()
            assert process.wait(PATIENCE) == 0
            assert "Traceback" not in log_of(house, port).read_text()
    finally:
        process.kill()
        process.wait(PATIENCE)
