"""How much memory a process and all it has started hold at most."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

INTERVAL = 0.2  # seconds between two looks


def own_peak_mb() -> float:
    """Return this process's largest resident memory in MB, 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


class Watch:
    """Looks now and then at what a process and its descendants hold, shared pages counted once.

    Only Linux tells; elsewhere `peak_mb` stays 0.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._ended = threading.Event()
        self.peak_mb = 0.0

    def run(self) -> None:
        """Look until the watch is ended."""
        while not self._ended.wait(INTERVAL):
            self.peak_mb = max(self.peak_mb, sum(map(held_mb, family(self._process.pid))))

    def end(self) -> None:
        """Look no more."""
        self._ended.set()


@contextlib.contextmanager
def watched(process: subprocess.Popen[str]) -> Iterator[Watch]:
    """Watch a process while the block runs."""
    watch = Watch(process)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [pid, *(member for child in children for member in family(child))]


def held_mb(pid: int) -> float:
    """Return the proportional set size of a process: a page of two counts half for each."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
