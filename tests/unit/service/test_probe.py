"""The health check of the image and the check of a service that has just been started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import pytest
from pydantic import SecretStr

from shelfmark.errors import ShelfmarkError
from shelfmark.service import probe
from shelfmark.service.settings import Settings
from tests.support.moments import PATIENCE
from tests.support.serving import free_port
from tests.support.threaded_service import threaded_service


def asked(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shelfmark.service.probe", *arguments],
        env={**os.environ, **env}, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_a_service_that_is_ready_passes_both_checks(home: Path) -> None:
    chosen = Settings(
        models=str(home / "models"), model="quick", api_key=SecretStr("api-key-of-tests")
    )
    with threaded_service(chosen) as client:
        url = str(client.base_url)
        done = asked(url, SHELFMARK_API_KEY="api-key-of-tests")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip() in {"cs.RO", "cs.CV", "cs.LG"}
        health = asked(PORT=str(httpx.URL(url).port))
        assert (health.returncode, health.stdout, health.stderr) == (0, "", "")
        refused = asked(url)  # ready, but it predicts only with the key
        assert refused.returncode == 1
        assert "no prediction (HTTP Error 401" in refused.stderr


def test_a_missing_service_fails_both_checks() -> None:
    port = str(free_port())
    health = asked(PORT=port)
    assert health.returncode == 1
    assert health.stderr.startswith(f"error: http://127.0.0.1:{port}/ready: ")
    with pytest.raises(ShelfmarkError, match="/ready: .* for 0 seconds"):
        probe.check_service(f"http://127.0.0.1:{port}", seconds=0)


def test_an_invalid_address_is_one_line() -> None:
    with pytest.raises(ShelfmarkError, match="file:///etc: not the address|file:///etc/ready: not"):
        probe.check_service("file:///etc", seconds=0)


def test_an_invalid_port_or_key_is_named() -> None:
    done = asked(PORT="abc")
    line = "error: PORT: 'abc' should be a whole number, such as 8000\n"
    assert (done.returncode, done.stderr) == (1, line)
    done = asked("http://127.0.0.1:9", "0", SHELFMARK_API_KEY="short")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: SHELFMARK_API_KEY: a key has at least 16 characters")


def test_the_health_check_imports_no_library() -> None:
    code = "import shelfmark.service.probe, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"rich", "loguru", "numpy", "pydantic"}
