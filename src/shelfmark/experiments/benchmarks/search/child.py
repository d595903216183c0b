"""A process of its own for a part of the benchmark."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import memory


def run_child(command: Sequence[str]) -> str:
    """Run a command, and return its output.

    Raises:
        ShelfmarkError: it fails; its last line says why.
    """
    with _start(command) as process:
        return _finish(process)


def measure_peak(command: Sequence[str]) -> float:
    """Run a command, and return the peak in MB of all its processes.

    The samples take time from the command, so that no other figure is measured meanwhile.

    Raises:
        ShelfmarkError: it fails; its last line says why.
    """
    with _start(command) as process, memory.monitor_peak(process) as monitor:
        _finish(process)
    return monitor.peak_mb


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def _finish(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate()
    if process.returncode:
        lines = errors.strip().splitlines() or [f"a process ended with {process.returncode}"]
        raise ShelfmarkError(lines[-1].removeprefix("error: "))
    return out
