"""Real server processes for the tests of the service."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
from filelock import BaseFileLock, FileLock, Timeout

from tests.support.moments import PATIENCE, until

RESERVED: list[BaseFileLock] = []  # held until the process ends
# `serve` sets it before it imports NumPy, which would start threads; a hook may import it earlier.
# Named here, not by the package, which the many tests that need a port alone do not import.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
# What is imported before the service starts threads, and then no process can be forked.
PATCHING = """
from shelfmark.service.workers import preload
def import_and_patch(import_service=preload.import_service):
    import_service()
    preload.import_service = import_service
    exec({patch!r}, globals())
preload.import_service = import_and_patch
"""
# Each worker is a new process, as on systems where a process cannot be forked.
SPAWNED = """
from shelfmark.service.workers import starting, supervisor
starting.can_fork = supervisor.can_fork = lambda: False
"""
ROBOT = "We train a robot arm for grasping with motion planning."


def free_port() -> int:
    """Return a port that no other test process is given while this one lives.

    The ports lie below those that systems give to connections, which could take one before its
    server binds it.
    """
    folder = Path(tempfile.gettempdir(), f"test-ports-{getpass.getuser()}")
    folder.mkdir(exist_ok=True)
    for port in range(20_000, 30_000):
        lock = FileLock(folder / str(port))
        with contextlib.suppress(Timeout, OSError), socket.socket() as probe:
            lock.acquire(timeout=0)
            probe.bind(("127.0.0.1", port))
            RESERVED.append(lock)
            return port
        lock.release()
    raise AssertionError("no port is free")


def start(
    home: Path,
    port: int,
    *arguments: str,
    before: str = "",
    patch: str = "",
    host: str = "127.0.0.1",
    **env: str,
) -> subprocess.Popen[bytes]:
    """Start the service as `shelfmark serve` does, in a folder with models; its log is `log_of` it.

    Args:
        home: the folder.
        port: to listen on, unless the environment names one.
        arguments: further ones of `server.serve`.
        before: Python that the process runs first, and a worker that is no copy of it too.
        patch: Python that runs once the service is imported, in the supervisor or in such a worker.
        host: to listen on.
        env: variables of the environment.
    """
    serve = f"server.serve({host!r}, {', '.join([str(port), *arguments])})"
    script = home / f"serve-{env.get('PORT', port)}.py"
    script.write_text(
        f"{PATCHING.format(patch=patch) if patch else ''}\n{before}\nif __name__ == '__main__':\n"
        "    from shelfmark.core import console\n    from shelfmark.service import server\n"
        f"    with console.one_line_errors(): {serve}\n"
    )
    # To a file: a pipe that nobody reads would stop it.
    with log_of(home, env.get("PORT", port)).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, str(script)],
            cwd=home,
            env={**os.environ, **ONE_THREAD, **env},
            stderr=log,
        )


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the ids of the processes that answer requests."""
    pids = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has ended
            if "resource_tracker" not in " ".join(child.cmdline()):  # of spawned workers
                pids.append(child.pid)
    return pids


def log_of(home: Path, port: int | str) -> Path:
    return home / f"serve-{port}.log"


def wait_until_ready(process: subprocess.Popen[bytes], client: httpx.Client) -> None:
    def ready() -> bool:
        assert process.poll() is None, "the service ended"
        try:
            return client.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    until(ready)


@contextlib.contextmanager
def running(home: Path, *arguments: str, **env: str) -> Iterator[httpx.Client]:
    """Run the service while the block does, and see that it ends in order and broke nowhere."""
    port = free_port()
    process = start(home, port, *arguments, **env)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            wait_until_ready(process, client)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=PATIENCE)
    log = log_of(home, port).read_text()
    assert "Traceback" not in log, log
    assert status == 0
