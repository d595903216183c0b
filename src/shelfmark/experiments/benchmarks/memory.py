"""The memory of a process and of all processes that it starts."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil

INTERVAL = 0.5  # seconds between two samples, each of which stops the processes for milliseconds


def own_peak_mb() -> float:
    """Return this process's largest resident memory in MB, 0 where the system does not report it.

    psutil reports the present memory only, so that the peak comes from getrusage.
    """
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


class PeakMonitor:
    """Samples the memory of a process and its descendants, shared pages counted once.

    `peak_mb` stays 0 where the system does not report proportional set sizes: only Linux does.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._pid = process.pid
        self._stopped = threading.Event()
        self.peak_mb = 0.0

    def run(self) -> None:
        """Sample until the monitor is stopped."""
        while not self._stopped.wait(INTERVAL):
            self.peak_mb = max(self.peak_mb, tree_mb(self._pid))

    def stop(self) -> None:
        """Take no more samples."""
        self._stopped.set()


@contextlib.contextmanager
def monitor_peak(process: subprocess.Popen[str]) -> Iterator[PeakMonitor]:
    """Monitor a process while the block runs."""
    monitor = PeakMonitor(process)
    thread = threading.Thread(target=monitor.run, daemon=True)
    thread.start()
    try:
        yield monitor
    finally:
        monitor.stop()
        thread.join()


def tree_mb(pid: int) -> float:
    """Return the proportional set size in MB of a process and its descendants.

    A page that two processes share counts half for each of them.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    return sum(map(_pss_mb, family))


def _pss_mb(process: psutil.Process) -> float:
    try:
        return getattr(process.memory_full_info(), "pss", 0) / (1 << 20)
    except psutil.Error:  # ended, or of another user
        return 0.0
