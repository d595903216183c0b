"""Work shared out among processes, its results in order."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from shelfmark.errors import ShelfmarkError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    patient: bool = True,
) -> Generator[Result, None, None]:
    """Apply a function of some module to items, in as many processes as there are cores.

    Only a few items are ahead of the results at any time, so memory stays flat. A process is
    started when there is an item for it; with `workers=0` the work is done in this one.

    Ctrl-C waits for the few items begun, unless `patient=False`. A process ended while it hands
    over a result would leave this one waiting for the rest of it, so the function must then return
    next to nothing.

    Raises:
        ShelfmarkError: a process was ended from outside, most likely for want of memory.
    """
    if workers == 0:
        yield from map(function, items)
        return
    workers = workers or os.cpu_count() or 1
    waiting: collections.deque[Future[Result]] = collections.deque()
    others = set(multiprocessing.active_children())
    # Processes are started afresh: a copy of this one would share its threads' locks.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_begin_worker
    )
    try:
        for item in items:
            with _ctrl_c_held():
                waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ShelfmarkError("a worker process was ended from outside; is memory short?") from error
    except BaseException:
        if not patient:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Let Ctrl-C wait: a process started meanwhile is deaf to it from its first moment."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    with contextlib.suppress(Exception):
        if parent is not None:
            parent.join()
    os._exit(1)
