"""Work distributed over processes: in order, never too far ahead, and ended with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shelfmark.arxiv.papers import Paper
from shelfmark.config.load import load_config
from shelfmark.core import parallel
from shelfmark.data import prepare, sources
from shelfmark.data.prepare import prepare_splits
from shelfmark.errors import ShelfmarkError
from tests.conftest import paths_in
from tests.support.moments import FOREVER, PATIENCE, until
from tests.support.records import record, write

ENDLESS = """
import sys, time
from shelfmark.core import parallel
if __name__ == "__main__":
    for _ in parallel.map_in_order(time.sleep, iter([0, 0, 36_000, 36_000]), 2):
        print("ready", flush=True)
"""
STOPPED = """
import os, time
from pathlib import Path
from shelfmark.core import console
from shelfmark.core import parallel

def work(seconds):
    Path(f"started-{{os.getpid()}}").touch()
    time.sleep(seconds)

if __name__ == "__main__":
    with console.one_line_errors():
        list(parallel.map_in_order(work, [{seconds}] * 36_000, 2, {wait_on_interrupt}))
"""


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(parallel.map_in_order(abs, range(-50, 50), 2)) == [abs(i) for i in range(-50, 50)]


def test_only_a_few_items_are_taken_ahead() -> None:
    items = iter(range(1_000_000))
    results = parallel.map_in_order(abs, items, 2)
    assert next(results) == 0
    assert next(items) < 10
    results.close()


def test_an_error_in_a_process_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(parallel.map_in_order(int, ["1", "one"], 1))


def test_a_process_ended_from_outside_gives_one_line() -> None:
    with pytest.raises(ShelfmarkError, match="a worker process was killed"):
        list(parallel.map_in_order(os._exit, [3], 1))


def test_without_workers_the_work_is_done_here() -> None:
    here = []
    assert list(parallel.map_in_order(here.append, [1, 2], 0)) == [None, None]
    assert here == [1, 2]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups")
@pytest.mark.parametrize("moment", ["start", "soon after", "work"])
@pytest.mark.parametrize(("seconds", "wait_on_interrupt"), [(0.5, True), (FOREVER, False)])
def test_ctrl_c_gives_one_line_after_the_items_in_progress_or_at_once(
    tmp_path: Path, moment: str, seconds: float, wait_on_interrupt: bool
) -> None:
    (tmp_path / "stopped.py").write_text(
        STOPPED.format(seconds=seconds, wait_on_interrupt=wait_on_interrupt)
    )
    with subprocess.Popen(
        [sys.executable, "stopped.py"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        try:
            until(lambda: len(children_of(parent.pid)) >= 2)
            if moment == "soon after":
                time.sleep(0.1)
            if moment == "work":
                until(lambda: len(list(tmp_path.glob("started-*"))) == 2)
            os.killpg(parent.pid, signal.SIGINT)
            said = parent.communicate(timeout=PATIENCE)[1]
        finally:
            parent.kill()
    assert said == "stopped: nothing half-written was kept\n"
    assert parent.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "forever.py").write_text(ENDLESS)
    parent = subprocess.Popen(
        [sys.executable, "forever.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    assert parent.stdout.readline() == "ready\n"
    children = children_of(parent.pid)
    assert children
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    until(lambda: not any(alive(pid) for pid in children))


def children_of(pid: int) -> list[int]:
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    if done.stderr:
        pytest.skip("this system's ps does not list children")
    return [int(word) for word in done.stdout.split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_shared_work_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    papers = [
        p for p in sources.read_papers("sample", None, {"papers": 3000}) if isinstance(p, Paper)
    ]
    path = write(tmp_path / "papers.json", [record(paper) for paper in papers])
    written = []
    for least, name in ((0, "shared"), (1 << 40, "alone")):
        monkeypatch.setattr(prepare, "WORTH_SHARING", least)
        overrides = ["data=snapshot", f'data.path="{path.as_posix()}"']
        splits = prepare_splits(load_config([*overrides, *paths_in(tmp_path / name)]))
        written.append({p.name: p.read_bytes() for p in splits.folder.iterdir()})
    assert len(written[0]) == 4
    assert written[0] == written[1]
