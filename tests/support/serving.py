"""Real server processes for the tests of the service."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx

from tests.support.moments import until

ROBOT = "We train a robot arm for grasping with motion planning."


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(home: Path, port: int, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
    """Start the service as `inv serve` does, in a folder with models; its log is `log_of` it."""
    serve = f"server.serve('127.0.0.1', {', '.join([str(port), *arguments])})"
    imports = "from shelfmark.core import console\nfrom shelfmark.service import server\n"
    code = f"{imports}with console.one_line_errors(): {serve}"
    # To a file: a pipe that nobody reads would stop it.
    with log_of(home, env.get("PORT", port)).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=home, env={**os.environ, **env}, stderr=log
        )


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
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until_ready(process, client)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=30)
    log = log_of(home, port).read_text()
    assert "Traceback" not in log, log
    assert status == 0
