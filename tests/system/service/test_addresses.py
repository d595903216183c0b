"""The addresses on which the service and the monitor answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support.moments import PATIENCE, until
from tests.support.serving import free_port, log_of, start, wait_until_ready


@pytest.mark.parametrize("workers", [1, 2])
def test_all_addresses_answer_with_any_number_of_workers(home: Path, workers: int) -> None:
    port = free_port()
    process = start(home, port, "'quick'", str(workers), host="::")
    urls = [f"http://127.0.0.1:{port}", f"http://[::1]:{port}"]
    try:
        for url in urls:
            with httpx.Client(base_url=url, timeout=PATIENCE) as client:
                wait_until_ready(process, client)
                assert client.post("/predict", json={"text": "a robot"}).status_code == 200
        shown = f"listening on {', '.join(urls)} and at every other address of this machine"
        until(lambda: shown in log_of(home, port).read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_taken_port_is_one_line(home: Path) -> None:
    port = free_port()
    process = start(home, port, "'quick'")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            wait_until_ready(process, client)
        for command in ("serve", "monitor"):
            words = ["--host", "::", "--port", str(port)]
            done = subprocess.run(
                [sys.executable, "-m", "shelfmark.cli", command, *words],
                cwd=home, capture_output=True, text=True, timeout=PATIENCE, check=False,
                env={**os.environ, "SHELFMARK_MODEL": "quick"},
            )  # fmt: skip
            assert done.returncode == 1
            assert done.stderr.startswith(f"error: cannot listen on [::]:{port}: ")
            assert "--port" in done.stderr
            assert done.stderr.count("\n") == 1
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_the_monitor_answers_on_all_addresses_and_under_a_path(home: Path) -> None:
    port = free_port()
    words = ["--host", "::", "--port", str(port), "--root-path", "/drifting"]
    log = home / f"monitor-{port}.log"
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "shelfmark.cli", "monitor", *words], cwd=home, stderr=lines
        )
    try:
        for url in (f"http://127.0.0.1:{port}", f"http://[::1]:{port}"):
            with httpx.Client(base_url=url, timeout=PATIENCE) as client:

                def alive(client: httpx.Client = client) -> bool:
                    assert process.poll() is None, log.read_text()
                    try:
                        return client.get("/drifting/health").status_code == 200
                    except httpx.TransportError:
                        return False

                until(alive)
                assert client.get("/health").json() == {"status": "alive"}
        assert "and at every other address of this machine" in log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
