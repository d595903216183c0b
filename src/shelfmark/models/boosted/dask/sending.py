"""Items sent to workers one after the other, so that few are in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from distributed import Future, as_completed

from shelfmark.models.boosted.dask.workers import Workers

AHEAD = 2  # items a worker


def send_each(
    workers: Workers, items: Iterable[Any], submit: Callable[[Future], Future]
) -> Iterator[Future]:
    """Yield the finished tasks on items, in the order in which they finish.

    Args:
        workers: to which items are sent, a few at a time.
        items: read as tasks finish.
        submit: from an item on a worker to the task on it.

    Raises:
        Exception: that of a task, or of the loss of a worker.
    """
    most = AHEAD * len(workers.names())
    running = as_completed([])
    for item in items:
        if running.count() >= most:
            yield _check(next(running))
        [there] = workers.client.scatter([item], hash=False)
        running.add(submit(there))
    for future in running:
        yield _check(future)


def _check(future: Future) -> Future:
    if future.status != "finished":
        future.result()  # raises
    return future
