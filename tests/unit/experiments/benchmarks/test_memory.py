"""What a process and its children hold is seen while they run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shelfmark.experiments.benchmarks import memory

HOLD = "import time; held = bytearray(b'1') * (80 << 20); time.sleep({seconds})"
PARENT = (
    f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD.format(seconds=3)!r}])"
)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.parametrize("code", [HOLD.format(seconds=2), PARENT])
def test_the_peak_counts_what_the_process_or_its_child_holds(code: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", code], text=True)
    with memory.watched(process) as watch:
        process.wait()
    assert 80 < watch.peak_mb < 160


def test_the_own_peak_is_that_of_this_process() -> None:
    if sys.platform != "win32":
        assert 10 < memory.own_peak_mb() < 100_000
