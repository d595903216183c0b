"""Work shared out among threads, its results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def spread(jobs: int, call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results of `call` over `items`, in order, by `jobs` threads.

    Threads, for NumPy works without the interpreter lock: they need no copy of
    the corpus and may start in a daemon, a web server or a worker process.
    """
    if jobs == 1:
        return list(map(call, items))
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(call, items))
