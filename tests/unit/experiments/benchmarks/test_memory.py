"""The memory of a process and its children is measured while they run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shelfmark.experiments.benchmarks import memory
from tests.support.moments import until

# Each lives until its standard input is closed.
HOLD = "import sys; block = bytearray(b'1') * (80 << 20); sys.stdin.read()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports proportional set sizes")
@pytest.mark.parametrize("code", [HOLD, PARENT], ids=["itself", "its child"])
def test_the_peak_counts_the_memory_of_the_process_and_its_child(code: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
    with memory.monitor_peak(process) as monitor:
        until(lambda: monitor.peak_mb > 80)
        process.communicate()
    assert 80 < monitor.peak_mb < 160


def test_a_process_that_has_ended_holds_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], text=True)
    process.wait()
    assert memory.tree_mb(process.pid) == 0


def test_the_own_peak_is_that_of_this_process() -> None:
    if sys.platform != "win32":
        assert 10 < memory.own_peak_mb() < 100_000
