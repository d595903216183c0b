"""The free space of a disk, checked before work that needs it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from loguru import logger

from shelfmark.errors import ShelfmarkError

MB, GB = 1 << 20, 1 << 30
WORTH_SAYING = GB  # bytes: of less, the log says nothing


def require_free(folder: Path, needed: int, what: str) -> None:
    """Check that a disk has free space for files before any is written, and log how much is needed.

    Args:
        folder: of the files; it may not exist yet.
        needed: bytes, an estimate.
        what: what needs them, as the subject of a sentence: "making the splits".

    Raises:
        ShelfmarkError: the disk has less free space.
    """
    free = free_bytes(folder)
    if free is None:
        return
    if free < needed:
        raise ShelfmarkError(
            f"{what} needs about {gigabytes(needed)} of disk in {folder}, and {gigabytes(free)} "
            "are free: free some, or choose a folder on another disk"
        )
    if needed >= WORTH_SAYING:
        logger.info("{} needs about {} of disk in {}", what, gigabytes(needed), folder)


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of a folder's disk, None where the system does not tell.

    A folder that does not exist yet has those of its nearest parent.
    """
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    with contextlib.suppress(OSError):
        return shutil.disk_usage(place).free
    return None


def gigabytes(size: int) -> str:
    """Return a number of bytes in GB, as messages give it; a small one in MB."""
    return f"{size / GB:,.1f} GB" if size >= GB / 10 else f"{size / MB:,.1f} MB"
