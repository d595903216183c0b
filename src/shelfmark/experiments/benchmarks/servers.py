"""Servers of HTTP that run in a separate process while something is measured."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from shelfmark.core import environment
from shelfmark.errors import ShelfmarkError

READY = 120.0  # seconds that a server may take to load its model
STOP = 20.0  # and to end

Server = subprocess.Popen[bytes]


@contextlib.contextmanager
def start_service(
    workers: int, model: str, models: str, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Server]]:
    """Run the service in a separate process, as `shelfmark serve` does, while the block runs.

    Args:
        workers: server processes.
        model: name of the model.
        models: folder of the models.
        settings: further variables of the environment.

    Yields:
        The address of the service, and its process.

    Raises:
        ShelfmarkError: the service does not start.
    """

    def command(port: int) -> list[str]:
        options = ["--port", str(port), "--model", model, "--workers", str(workers)]
        return [sys.executable, "-m", "shelfmark.cli", "serve", *options]

    env = {"SHELFMARK_MODELS": models, **(settings or {})}
    with start_server("the service", command, "ready", env=env) as started:
        yield started


@contextlib.contextmanager
def start_server(
    name: str,
    command: Callable[[int], list[str]],
    ready: str,
    *,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, Server]]:
    """Run a server in a separate process while the block runs.

    Args:
        name: for errors.
        command: that starts the server on a port of 127.0.0.1.
        ready: the path that answers 200 as soon as the server is ready.
        folder: in which the server runs; by default the current one.
        env: further variables of the environment.

    Yields:
        The address of the server, and its process.

    Raises:
        ShelfmarkError: the server does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command(port), cwd=folder, env={**os.environ, **(env or {})},
            stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
        try:
            last_moment = time.monotonic() + READY
            while why := describe_unready(url, ready):
                if server.poll() is not None or time.monotonic() > last_moment:
                    log.seek(0)
                    lines = log.read().decode(errors="replace").splitlines() or [why]
                    why = lines[-1].removeprefix("error: ")
                    raise ShelfmarkError(f"{name} did not start: {why}")
                time.sleep(0.1)
            yield url, server
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(STOP)
            server.kill()


def describe_unready(url: str, path: str = "ready") -> str:
    """Return the reason that a server is not ready, empty if it is ready.

    Raises:
        ShelfmarkError: no service takes the key in SHELFMARK_API_KEY.
    """
    try:
        status, reason, _ = get(url, path)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return "" if status == 200 else f"{status} {reason}"


def get(url: str, path: str) -> tuple[int, str, bytes]:
    """Return status, reason and body of an answer.

    Raises:
        ValueError: the address is not one of HTTP.
        OSError: the server does not answer.
        http.client.HTTPException: it answers by no HTTP.
        ShelfmarkError: no service takes the key in SHELFMARK_API_KEY.
    """
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    parts = urlsplit(url)
    if parts.scheme not in kinds or not parts.netloc:
        raise ValueError("not an http:// or https:// address")
    key = {"X-API-Key": environment.read_key("SHELFMARK_API_KEY")}
    with contextlib.closing(kinds[parts.scheme](parts.netloc, timeout=60)) as connection:
        connection.request("GET", f"{parts.path.rstrip('/')}/{path}", headers=key)
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.read()
