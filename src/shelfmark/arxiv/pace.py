"""How often a host is asked: one request in so many seconds, over all processes of a user.

The time of the next request is the modification time of a file in the user's cache folder, so it
holds over restarts too, and who holds the file has the one connection that arXiv asks for.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError

LONGEST = 3600.0  # seconds that anybody is waited for, whatever the host or the clock says


@dataclass(frozen=True)
class Clock:
    """Where time comes from, in seconds since 1970, and how it passes."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


SYSTEM = Clock()


@dataclass(frozen=True)
class Pace:
    """Waits before each request, as long as the interval or the host asks for.

    Args:
        gate: the file whose modification time is that of the next request.
        interval: seconds between two requests.
        clock: where time comes from.
    """

    gate: Path
    interval: float
    clock: Clock = SYSTEM

    def wait(self) -> None:
        """Wait until a request may be made, and count it as made now."""
        # A clock that was set back must not make anybody wait for a day.
        left = min(self.gate.stat().st_mtime - self.clock.now(), LONGEST)
        if left > 0:
            self.clock.sleep(left)
        self.not_before(self.interval)

    def not_before(self, seconds: float) -> None:
        """Make the next request so many seconds from now at the earliest, an hour at most."""
        moment = self.clock.now() + min(seconds, LONGEST)
        os.utime(self.gate, (moment, moment))


@contextlib.contextmanager
def keep(host: str, interval: float, clock: Clock = SYSTEM) -> Iterator[Pace]:
    """Hold the one connection to a host that this user may have.

    Raises:
        ShelfmarkError: another process holds it, or the cache folder cannot be written.
    """
    gate = _cache() / ("asked-" + re.sub(r"[^\w.-]", "_", host))
    with files.report_write_errors(gate):
        gate.parent.mkdir(parents=True, exist_ok=True)
        new = not gate.exists()
        held = files.try_lock(gate)
    if held is None:
        raise ShelfmarkError(
            f"another harvest from {host} is at work: arXiv asks for one connection at a time"
        )
    with held:
        if new:
            os.utime(gate, (0, 0))
        yield Pace(gate, interval, clock)


def _cache() -> Path:
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shelfmark"
    except RuntimeError as error:
        raise ShelfmarkError("there is no home folder: set XDG_CACHE_HOME to one") from error
