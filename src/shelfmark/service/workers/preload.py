"""What the supervisor imports and opens once, for the workers that are forked from it."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shelfmark.artifacts.aliases import Pin
from shelfmark.core import storage
from shelfmark.errors import ShelfmarkError
from shelfmark.models import languages
from shelfmark.service.settings import Settings
from shelfmark.service.workers.board import Wanted
from shelfmark.service.workers.failures import describe_error
from shelfmark.service.workers.imports import defer_imports

if TYPE_CHECKING:
    from shelfmark.models.artifact import Model

# scikit-learn imports them, at half of the time of its own import, and the service uses neither.
UNUSED = ("pandas", "scipy.stats")
# The table is unpacked in a thousand steps, after each of which its thread waits as long as this.
SWITCH_SECONDS = 1e-4
LEAVING_SECONDS = 1.0  # for threads that have been joined: the system ends them a moment later
TASKS = Path("/proc/self/task")  # of Linux: all threads of this process, also of libraries


@dataclass(frozen=True, eq=False)
class Preloaded:
    """A model that workers share, because it was open before they were forked.

    Args:
        name: of the version or alias that was asked for.
        pin: the version that the name stood for, and its digest.
        model: opened, and warm.
    """

    name: str
    pin: Pin
    model: Model

    def is_wanted(self, wanted: Wanted) -> bool:
        """Whether it is the model that all workers should serve."""
        return (wanted.version, wanted.digest) == (self.pin.version, self.model.digest)


def preload(settings: Settings) -> Preloaded | None:
    """Import what a worker needs, and open the model that it starts with.

    Returns:
        None if each worker opens its own: its model is in a bucket, of which each has its copy.

    Raises:
        ShelfmarkError: the model does not open.
    """
    gc.disable()  # a collection would walk through all that is imported, again and again
    try:
        with _read_languages():
            import_service()
            return None if storage.is_remote(settings.models) else _open(settings)
    except Exception as error:
        failure = describe_error(error)
    finally:
        gc.freeze()  # a collection in a worker would copy the pages of all these objects
        gc.enable()
    raise ShelfmarkError(failure)


@contextlib.contextmanager
def _read_languages() -> Iterator[None]:
    """Read the table of languages beside the block, which takes as long."""

    def read() -> None:
        with contextlib.suppress(Exception):  # the first text that needs it reports why
            languages.language_identifier()

    reading = threading.Thread(target=read, daemon=True)
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        reading.start()
        yield
        reading.join()  # a process with two threads cannot be forked
    finally:
        sys.setswitchinterval(before)


def import_service() -> None:
    """Import the application, without what it does not use."""
    with defer_imports(*UNUSED):
        import shelfmark.models.boosted.family
        import shelfmark.service.workers.process  # noqa: F401


def _open(settings: Settings) -> Preloaded:
    from shelfmark.models.registry import Registry

    registry = Registry(settings.models)
    pin = registry.pin(settings.model)
    return Preloaded(settings.model, pin, registry.open(pin.version, pin.digest))


def can_fork() -> bool:
    """Whether a forked process is a copy of this one: it is if this one has one thread only."""
    if sys.platform != "linux":
        return False
    deadline = time.monotonic() + LEAVING_SECONDS
    while len([*TASKS.iterdir()]) > 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True
