"""Google Cloud Storage on this machine: gcp-storage-emulator in a separate process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from tests.support.moments import PATIENCE, until
from tests.support.serving import free_port

BUCKET = "bucket"


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """The emulator's URL, an empty `BUCKET` in it; it ends with the module's tests."""
    with running() as (url, _):
        yield url


@contextlib.contextmanager
def running() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a separate emulator while the block does; yield its URL and its process."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    module = "gcp_storage_emulator"
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", module, "start", *where, "--in-memory", "--quiet"]
    process = subprocess.Popen([*command, "--default-bucket", BUCKET], stderr=subprocess.DEVNULL)
    try:
        _wait_for(url, process)
        yield url, process
    finally:
        process.kill()
        process.wait(timeout=PATIENCE)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert process.poll() is None, "the emulator ended"
        try:
            with urlopen(url, timeout=5):
                return True
        except OSError:
            return False

    until(answers)


@pytest.fixture
def gcs(emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket, which all in this process and its children find."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    with urlopen(f"{emulator}/wipe?keep-buckets=1", timeout=PATIENCE):
        return f"gs://{BUCKET}"


@pytest.fixture
def no_google(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A machine without an emulator and without any credentials, and not one of Google's."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path_factory.mktemp("gcloud")))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
