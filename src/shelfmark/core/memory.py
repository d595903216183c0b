"""The memory that a training may use, and how many processes fit into it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from shelfmark.core.disk import gigabytes
from shelfmark.errors import ShelfmarkError

KEY = "engine.memory"
SHARE = 2  # of the memory of the machine, a training may use one part of so many
UNKNOWN = 8 << 30  # bytes of a machine that does not tell
PROCESS = 200 << 20  # bytes of a process with the libraries of a training, before it works
UNITS = {"k": 1, "M": 2, "G": 3, "T": 4}
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
STATUS = Path("/proc/self/status")


def parse_size(text: str) -> int:
    """Return the number of bytes of a size such as 2GB, which is 2 x 1000^3, or 2GiB, 2 x 1024^3.

    Raises:
        ValueError: it is no such size.
    """
    base = 1024 if text.endswith("iB") else 1000
    number, unit = text.removesuffix("iB").removesuffix("B")[:-1], text.rstrip("iB")[-1:]
    if unit not in UNITS or not text.endswith("B"):
        raise ValueError(f"{text!r} is no size such as 2GB")
    return int(float(number) * base ** UNITS[unit])


def machine_bytes() -> int:
    """Return the memory that this process may use: the machine's, or the limit of its cgroup."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        installed = UNKNOWN
    return min([installed, *_cgroup_limits()])


def _cgroup_limits() -> Iterator[int]:
    """Yield the limits of the cgroups of this process and of those around them, version 1 or 2."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in OWN_CGROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                root = CGROUPS / controllers
                name = "memory.limit_in_bytes" if controllers else "memory.max"
                own = PurePosixPath(path.lstrip("/"))
                # In a container, the path may be that of the host: its own limit is at the root.
                for place in (own, *own.parents):
                    with contextlib.suppress(OSError, ValueError):  # "max" is no limit
                        yield int((root / place / name).read_text())


def budget_bytes(given: str | None) -> int:
    """Return the memory of a training, all processes together.

    Args:
        given: `engine.memory`; None for half of what the machine or its cgroup has.
    """
    return machine_bytes() // SHARE if given is None else parse_size(given)


def used_bytes() -> int:
    """Return the memory of this process, without mapped files; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    return 0


def count_processes(budget: int, each: int, what: str) -> int:
    """Return how many processes may work at once: at most one per core, as far as memory goes.

    This process, which waits for them, counts too.

    Args:
        budget: bytes of all processes.
        each: bytes that the work of one process takes.
        what: the work, as the subject of a sentence: "fitting low_rank".

    Raises:
        ShelfmarkError: there is not enough for one process.
    """
    processes = fitting_processes(budget, each)
    if not processes:
        left = gigabytes(max(budget - used_bytes(), 0))
        raise ShelfmarkError(
            f"{KEY}: {what} needs {gigabytes(each + PROCESS)}, and {left} of "
            f"{gigabytes(budget)} are left: raise {KEY} or lower features.max_terms"
        )
    return processes


def fitting_processes(budget: int, each: int) -> int:
    """Return how many processes may work at once beside this one, 0 if there is room for none.

    The arguments are those of `count_processes`.
    """
    return max(0, min((budget - used_bytes()) // (each + PROCESS), os.cpu_count() or 1))
