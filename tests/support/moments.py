"""Waiting for an event in another process, and killing a process exactly then.

No test rests on the speed of the machine: what it waits for is an event, `PATIENCE` only ends a
test that hangs, and what must not end by itself meanwhile lasts `FOREVER`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

PATIENCE = 600  # seconds after which a test fails that waits for an event
FOREVER = 36_000  # seconds that no test waits
POLL = 0.005  # seconds between two looks


def until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: the condition does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(POLL)


def kill_group_when(process: subprocess.Popen[Any], holds: Callable[[], object]) -> None:
    """Kill a process that leads a group, and the rest of the group, while a condition holds.

    The condition is checked again while all of them are stopped, so that it holds when they die.

    Raises:
        AssertionError: the process ends before, or the condition does not hold in time.
    """
    while True:
        until(lambda: holds() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        os.killpg(process.pid, signal.SIGSTOP)
        until(lambda: all(map(_stands_still, _group(process.pid))))
        if holds():
            break
        os.killpg(process.pid, signal.SIGCONT)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _group(leader: int) -> list[int]:
    try:
        children = psutil.Process(leader).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [leader, *(child.pid for child in children)]


def _stands_still(pid: int) -> bool:
    try:
        status: str = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return True
    return status in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_TRACING_STOP)
