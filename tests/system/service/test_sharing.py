"""Workers share the memory of the supervisor, which has opened the model before it forked them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from tests.support.moments import PATIENCE, until
from tests.support.serving import (
    ONE_THREAD,
    ROBOT,
    SPAWNED,
    free_port,
    log_of,
    start,
    wait_until_ready,
    workers_of,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are not forked")

QUESTION = {"text": ROBOT, "explain": True}
UNUSED = ("pandas", "pyarrow", "scipy.stats", "xgboost")
PRELOAD = f"""
import sys
from shelfmark.service.settings import Settings
from shelfmark.service.workers import preload
opened = preload.preload(Settings(model="one"))
assert preload.can_fork(), "the process has several threads"
from shelfmark.models import answers
answers.answer_papers(opened.model, [("A robot", "It grasps.")] * 40)
answers.answer_papers(opened.model, [("A robot", "It grasps.")], explain=True)
print(*sorted({{*{UNUSED}}} & {{*sys.modules}}))
"""


class Pair:
    """A service of two workers."""

    def __init__(self, house: Path, before: str = "") -> None:
        self._port = free_port()
        self.process = start(house, self._port, "'one'", "2", before=before)
        self._log = log_of(house, self._port)

    def ask(self) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=PATIENCE) as client:
            wait_until_ready(self.process, client)
            assert client.post("/predict", json=QUESTION).status_code == 200

    def wait_for_starts(self, count: int) -> None:
        until(lambda: self._log.read_text().count("serving one") == count)

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0
        assert "Traceback" not in self._log.read_text()


@pytest.fixture
def pair(house: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(house, getattr(request, "param", ""))
    try:
        pair.wait_for_starts(2)
        yield pair
        pair.end()
    finally:
        pair.process.kill()


def growth(pair: Pair) -> float:
    """Return how many times the memory of one worker and the supervisor the two take."""
    parent = psutil.Process(pair.process.pid)
    memory = {one.pid: one.memory_full_info() for one in (parent, *parent.children())}
    both = sum(one.pss for one in memory.values())
    # Of the worker that has answered: the other one may not have computed all that it needs.
    return float(both / (both - max(memory[pid].uss for pid in workers_of(pair.process))))


def test_a_second_worker_takes_little_memory(pair: Pair) -> None:
    for _ in range(100):
        pair.ask()
    assert growth(pair) < 1.3


@pytest.mark.parametrize("pair", [SPAWNED], indirect=True)
def test_a_worker_is_a_new_process_where_none_can_be_forked(pair: Pair) -> None:
    pair.ask()
    assert growth(pair) > 1.3  # so the limit above tells shared memory from other memory
    os.kill(workers_of(pair.process)[0], signal.SIGKILL)
    pair.wait_for_starts(3)
    pair.ask()


def test_a_killed_worker_is_replaced_without_the_files_of_the_model(
    pair: Pair, house: Path
) -> None:
    hidden = (house / "models" / "one").rename(house / "hidden")
    try:
        killed = workers_of(pair.process)
        for count, pid in enumerate(killed, 3):
            os.kill(pid, signal.SIGKILL)
            pair.wait_for_starts(count)
        until(lambda: not {*killed} & {*workers_of(pair.process)})
        pair.ask()
        assert growth(pair) < 1.3
    finally:
        hidden.rename(house / "models" / "one")


def test_what_is_shared_is_opened_in_one_thread_and_without_unused_libraries(house: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRELOAD], cwd=house, capture_output=True, text=True, check=True,
        env={**os.environ, **ONE_THREAD},
    )  # fmt: skip
    assert done.stdout.split() == []
