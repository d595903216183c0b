"""A file that one process holds at a time: the system lets go of it however the process ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def hold(path: Path) -> IO[bytes] | None:
    """Return a file that is held until it is closed, None if another holds it."""
    file = path.open("ab")
    try:
        _lock(file.fileno())
        # One who held it may have removed it since it was opened: such a lock keeps nobody out.
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError, PermissionError):
        pass
    file.close()
    return None
