"""A process of its own for a part of a benchmark."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import memory


@dataclass(frozen=True)
class Usage:
    """What a command has used.

    Args:
        seconds: from its start to its end.
        peak_mb: the largest memory of all its processes together, 0 where it is not reported.
        output: its standard output.
    """

    seconds: float
    peak_mb: float
    output: str


def run_child(command: Sequence[str]) -> str:
    """Run a command, and return its output.

    Raises:
        ShelfmarkError: it fails; its last line says why.
    """
    with _start(command) as process:
        return _finish(process)


def measure_child(command: Sequence[str]) -> Usage:
    """Run a command, and return the time and the memory that it and its processes use.

    Raises:
        ShelfmarkError: it fails; its last line says why.
    """
    start = time.perf_counter()
    with _start(command) as process, memory.monitor_peak(process) as monitor:
        output = _finish(process)
        seconds = time.perf_counter() - start
    return Usage(seconds, monitor.peak_mb, output)


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def _finish(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate()
    if process.returncode:
        lines = errors.strip().splitlines() or [f"a process ended with {process.returncode}"]
        raise ShelfmarkError(lines[-1].removeprefix("error: "))
    return out
