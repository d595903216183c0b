"""To wait for a moment in the life of another process, and to kill it there and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

SOON = 60  # seconds in which a program has done what it is to do at once, on a busy machine too
PATIENCE = 600  # seconds in which a long piece of work comes to a moment
LOOK = 0.005  # seconds between two looks
STOPPED = 0.05  # seconds within which all processes of a group stand still


def until(holds: Callable[[], object], seconds: float = SOON) -> None:
    """Wait for something to be so.

    Raises:
        AssertionError: it is not so in time.
    """
    last_moment = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < last_moment, "it did not come to pass"
        time.sleep(LOOK)


def kill_group_when(process: subprocess.Popen[Any], holds: Callable[[], object]) -> None:
    """Kill a process that leads a group, and the others in it, while something is so.

    They stand still while the second look is taken, so that it is so still when they die.

    Raises:
        AssertionError: the process ends before, or it is not so in time.
    """
    while True:
        until(lambda: holds() or process.poll() is not None, PATIENCE)
        assert process.poll() is None, process.communicate()
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(STOPPED)
        if holds():
            break
        os.killpg(process.pid, signal.SIGCONT)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
