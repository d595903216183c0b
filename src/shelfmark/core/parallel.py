"""Work distributed over processes and threads, its results in order."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from shelfmark.errors import ShelfmarkError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    wait_on_interrupt: bool = True,
) -> Generator[Result, None, None]:
    """Yield the results of a function over items, in order, computed by several processes.

    At most a few items are in flight, so memory stays flat. A process starts when there is an item
    for it.

    Args:
        function: a function at the top level of a module.
        items: its arguments, read as results are taken.
        workers: how many processes, None for one per core; 0 computes in this process.
        wait_on_interrupt: whether Ctrl-C waits for the items in flight. If not, the function must
            return next to nothing: a process terminated while it sends a result would leave this
            one waiting for the rest.

    Raises:
        ShelfmarkError: a process was killed, most likely because memory ran out.
    """
    if workers == 0:
        yield from map(function, items)
        return
    workers = workers or os.cpu_count() or 1
    waiting: collections.deque[Future[Result]] = collections.deque()
    others = set(multiprocessing.active_children())
    # Spawned, not forked: a copy of this process would hold the locks of its threads for ever.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_begin_worker
    )
    try:
        for item in items:
            with _ctrl_c_blocked():
                waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ShelfmarkError("a worker process was killed; is memory short?") from error
    except BaseException:
        if not wait_on_interrupt:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Delay Ctrl-C: a process started in the block ignores it from its first moment."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    arrived: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    # The mask is for the started process, which inherits it. Here another thread, such as one of
    # OpenBLAS, still takes the signal, and Python would interrupt the main thread half-way.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.signal(signal.SIGINT, lambda *_: arrived.append(1)) if in_main else None
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if arrived:
            signal.raise_signal(signal.SIGINT)


def _begin_worker() -> None:
    """Ignore Ctrl-C, which the parent handles, and exit with the parent however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    with contextlib.suppress(Exception):
        if parent is not None:
            parent.join()
    os._exit(1)


def map_threads(
    jobs: int, function: Callable[[Item], Result], items: Iterable[Item]
) -> list[Result]:
    """Return the results of a function over items, in order, computed by `jobs` threads.

    Threads suit NumPy code, which releases the interpreter lock: they need no copy of the corpus
    and may start in a daemon, a web server or a worker process.
    """
    if jobs == 1:
        return list(map(function, items))
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(function, items))
