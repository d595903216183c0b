"""Three workers that change their model together, under failures of one of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
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

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prlimit() and signals are used")

WORKERS = 3
ADMIN = {"X-Admin-Key": "admin-key-of-tests"}
# A worker whose process id names a file there does not open the second model, or waits until the
# file is gone.
HOOK = """
import os, time
from pathlib import Path
from shelfmark.models.registry import Registry
from shelfmark.service.workers import failures
opened = Registry.open
def open_or_fail(registry, version, *rest):
    mine = {name: Path(name, str(os.getpid())) for name in ("fail", "wait")}
    if version == "two" and mine["fail"].exists():
        raise MemoryError
    while version == "two" and mine["wait"].exists():
        mine["wait"].write_text("waiting")
        time.sleep(0.01)
    return opened(registry, version, *rest)
Registry.open = open_or_fail
failures.Failures.__init__.__defaults__ = (0.1, 0.1)
"""


class Trio:
    """A service of three workers."""

    def __init__(self, house: Path, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.house = house
        self.process = process
        self.client = httpx.Client(base_url=url, timeout=PATIENCE)
        self._url, self._log = url, log

    def log(self) -> str:
        return self._log.read_text()

    def pids(self) -> list[int]:
        return sorted(workers_of(self.process))

    def load(self, version: str) -> httpx.Response:
        # On a connection of its own, which any worker may accept.
        with httpx.Client(base_url=self._url, timeout=PATIENCE) as client:
            return client.post("/load", json={"version": version}, headers=ADMIN)

    def start_load(self, version: str) -> threading.Thread:
        """Load a version from a thread; the worker that loads it may be killed."""

        def load() -> None:
            with contextlib.suppress(httpx.TransportError):
                self.load(version)

        thread = threading.Thread(target=load)
        thread.start()
        return thread

    def state(self) -> dict[str, Any]:
        with httpx.Client(base_url=self._url, timeout=PATIENCE) as client:
            state: dict[str, Any] = client.get("/ready").json()
        return state

    def wait_until_all_serve(self, version: str) -> None:
        """Wait until a load finds that all workers follow, and they are three."""

        def all_serve() -> bool:
            answer = self.load(version)
            workers = answer.json().get("workers", [])
            return answer.status_code == 200 and [w["pid"] for w in workers] == self.pids()

        until(lambda: len(self.pids()) == WORKERS)
        until(all_serve)
        assert self.state() == {"status": "ready", "model": version}

    def mark(self, what: str, pid: int) -> Path:
        mark = self.house / what / str(pid)
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
        return mark


@pytest.fixture(scope="module")
def module_trio(house: Path) -> Iterator[Trio]:
    port = free_port()
    (house / "temporary").mkdir()
    env = {"SHELFMARK_ADMIN_KEY": "admin-key-of-tests", "SHELFMARK_LOAD_SECONDS": "4",
           "SHELFMARK_REQUEST_SECONDS": str(FOREVER),
           "TMPDIR": str(house / "temporary")}  # fmt: skip
    process = start(house, port, "'one'", str(WORKERS), patch=HOOK, **env)
    trio = Trio(house, process, f"http://127.0.0.1:{port}", log_of(house, port))
    try:
        wait_until_ready(process, trio.client)
        until(lambda: trio.log().count("serving one") == WORKERS)
        yield trio
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert "Traceback" not in trio.log()
    finally:
        trio.client.close()
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture
def trio(module_trio: Trio) -> Trio:
    """The service, all of whose workers serve the first model."""
    module_trio.wait_until_all_serve("one")
    return module_trio


def test_a_worker_that_fails_to_follow_is_named_and_follows_later(trio: Trio) -> None:
    failing = trio.pids()[0]
    mark = trio.mark("fail", failing)

    answers: list[httpx.Response] = []

    def incomplete() -> bool:
        # 409 if the failing worker accepts the request itself: nothing changes then.
        answers.append(trio.load("two"))
        return answers[-1].status_code == 504

    until(incomplete)
    answer = answers[-1]
    state = trio.state()
    assert state["status"] == "ready"
    assert state["wanted"] == "two"
    reason = "two failed to open with MemoryError"
    assert {"pid": failing, "model": "one", "problem": reason} in state["workers"]
    assert {"pid": failing, "model": "one", "problem": reason} in answer.json()["workers"]
    assert f"{failing} ({reason})" in answer.json()["detail"]
    page = trio.client.get("/metrics").text
    assert 'shelfmark_model_wanted{version="two"} 1.0' in page
    assert 'shelfmark_workers{version="one"} 1.0' in page
    assert "shelfmark_workers_behind 1.0" in page
    assert trio.client.post("/predict", json={"text": ROBOT}).status_code == 200
    assert f"cannot follow the other workers, trying again in 0 s: {reason}" in trio.log()
    mark.unlink()
    until(lambda: trio.state() == {"status": "ready", "model": "two"})
    assert "shelfmark_workers_behind 0.0" in trio.client.get("/metrics").text


def test_a_worker_killed_while_it_opens_the_new_model_is_replaced_by_one_that_serves_it(
    trio: Trio,
) -> None:
    killed = trio.pids()[1]
    mark = trio.mark("wait", killed)
    loading = trio.start_load("two")
    until(mark.read_text)  # it opens the model, for the load or to follow it
    os.kill(killed, signal.SIGKILL)
    loading.join()
    until(lambda: killed not in trio.pids())
    trio.wait_until_all_serve("two")
    mark.unlink()
    assert not [pid for pid in trio.pids() if pid == killed]


def test_workers_killed_during_loads_never_leave_two_versions(trio: Trio) -> None:
    for turn in range(6):
        version = ("two", "one")[turn % 2]
        victims = trio.pids()
        loading = trio.start_load(version)
        os.kill(victims[turn % len(victims)], signal.SIGKILL)
        loading.join()
        trio.wait_until_all_serve(version)


def test_loads_in_several_workers_at_once_end_with_one_version(trio: Trio) -> None:
    answers: list[httpx.Response] = []

    def load(version: str) -> None:
        answers.append(trio.load(version))

    for _ in range(5):
        threads = [threading.Thread(target=load, args=[version]) for version in ("one", "two") * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: "wanted" not in trio.state())
        served = {trio.state()["model"] for _ in range(12)}
        assert len(served) == 1
    assert {answer.status_code for answer in answers} <= {200, 409, 504}
    assert 200 in {answer.status_code for answer in answers}


def test_a_stopped_worker_is_named_and_follows_when_it_goes_on(trio: Trio) -> None:
    stopped = psutil.Process(trio.pids()[2])
    stopped.suspend()
    try:
        until(lambda: stopped.status() == psutil.STATUS_STOPPED)
        answer = trio.load("two")
        assert answer.status_code == 504
        behind = [worker for worker in answer.json()["workers"] if worker["model"] == "one"]
        assert stopped.pid in [worker["pid"] for worker in behind]
        assert f"{stopped.pid} (has not answered, serves one)" in answer.json()["detail"]
    finally:
        stopped.resume()
    trio.wait_until_all_serve("two")


def test_without_room_in_the_runtime_folder_a_load_changes_nothing(trio: Trio) -> None:
    resource = pytest.importorskip("resource")
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in trio.pids()}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        answer = trio.load("two")
        assert answer.status_code == 503
        assert "the workers cannot be told" in answer.json()["detail"]
        assert trio.client.get("/metrics").status_code == 200
        assert {trio.state()["model"] for _ in range(9)} == {"one"}
    finally:
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    trio.wait_until_all_serve("two")


def test_counters_survive_the_workers_that_counted(trio: Trio) -> None:
    def counted() -> float:
        page = trio.client.get("/metrics").text
        line = 'shelfmark_requests_total{method="GET",route="/model",status="200"}'
        return sum(float(x.rpartition(" ")[2]) for x in page.splitlines() if x.startswith(line))

    before = counted()
    for _ in range(12):
        with httpx.Client(base_url=trio.client.base_url, timeout=PATIENCE) as client:
            client.get("/model")
    victims = trio.pids()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
        trio.client.close()
        trio.client = httpx.Client(base_url=trio.client.base_url, timeout=PATIENCE)
        until(lambda: pid not in trio.pids() and len(trio.pids()) == WORKERS)  # noqa: B023
    trio.wait_until_all_serve("one")
    assert counted() == before + 12
    (runtime,) = (trio.house / "temporary").glob("shelfmark-*")
    left = {path.name for path in runtime.iterdir()}
    assert not [name for name in left for pid in victims if str(pid) in name]


def test_a_service_that_cannot_start_one_worker_goes_on_with_the_others(trio: Trio) -> None:
    trio.wait_until_all_serve("two")  # which, unlike the first model, each worker opens itself
    models = trio.house / "models"
    hidden = (models / "two").rename(trio.house / "hidden")
    try:
        os.kill(trio.pids()[0], signal.SIGKILL)
        until(lambda: "failed to start: no model in" in trio.log())
        assert trio.client.post("/predict", json={"text": ROBOT}).status_code == 200
    finally:
        hidden.rename(models / "two")
    trio.wait_until_all_serve("two")


@pytest.mark.parametrize(
    ("workers", "before"), [("1", ""), ("2", ""), ("2", SPAWNED)], ids=["one", "two", "spawned"]
)
@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("MemoryError", "error: MemoryError"),
        ("RuntimeError('two\\nlines')", "error: RuntimeError: two lines"),
        ("OSError(24, 'Too many open files')", "error: OSError: [Errno 24] Too many open files"),
    ],
)
def test_a_start_that_fails_with_any_error_is_one_line(
    house: Path, error: str, line: str, workers: str, before: str
) -> None:
    hook = f"""
from shelfmark.models.registry import Registry
def fail(*arguments):
    raise {error}
Registry.open = fail
"""
    process = start(house, port := free_port(), "'one'", workers, before=before, patch=hook)
    assert process.wait(PATIENCE) == 1
    assert log_of(house, port).read_text().splitlines()[-1:] == [line]
