"""What a process and its children hold is seen while they run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shelfmark.experiments.benchmarks import memory
from tests.support.moments import until

HOLD = "import sys; held = bytearray(b'1') * (80 << 20); sys.stdin.read()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.parametrize("code", [HOLD, PARENT])
def test_the_peak_counts_what_the_process_or_its_child_holds(code: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
    with memory.watched(process) as watch:
        until(lambda: watch.peak_mb > 80)
        process.communicate()
    assert watch.peak_mb < 160


def test_the_own_peak_is_that_of_this_process() -> None:
    if sys.platform != "win32":
        assert 10 < memory.own_peak_mb() < 100_000
