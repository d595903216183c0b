"""How the supervisor starts a worker: as a copy of itself, or as a new process.

A copy (a fork) shares the memory of the supervisor, the model among it, and answers at once. A new
process imports and opens all that itself; that is for systems on which a copy is not sound.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from socket import socket
from typing import Any

from shelfmark.service.workers import preload
from shelfmark.service.workers.preload import Preloaded, can_fork

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP")
           if hasattr(signal, name)]  # fmt: skip


class Starter:
    """Starts workers.

    Args:
        sockets: that they accept connections on.
        margin: seconds after the time for requests in flight in which a worker has to end.
        preloaded: the model that a copy of this process has; None if each worker opens its own.
    """

    def __init__(
        self, sockets: list[socket], margin: float, preloaded: Preloaded | None = None
    ) -> None:
        self._sockets, self._margin, self._preloaded = sockets, margin, preloaded
        self.copies = can_fork()

    def start(self, own: Sequence[Connection | socket]) -> tuple[BaseProcess, Connection]:
        """Return a worker, and the connection to it.

        Args:
            own: what a copy of this process has to close: a worker that held the connection to
                another one would hide the end of the supervisor from it.

        Raises:
            OSError: the system has no process or descriptor for it.
        """
        context: Any = multiprocessing.get_context("fork" if self.copies else "spawn")
        ours, theirs = context.Pipe()
        if self.copies:
            process = context.Process(target=self._run_copy, args=(theirs, [*own, ours]))
        else:
            arguments = (self._sockets, theirs, self._margin)
            process = context.Process(target=_run_new, args=arguments)
        process.daemon = True
        try:
            with _hold_signals(SIGNALS if self.copies else [signal.SIGINT]):
                process.start()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return process, ours

    def _run_copy(self, connection: Connection, own: Sequence[Connection | socket]) -> None:
        from shelfmark.service.workers.process import run_worker

        signal.set_wakeup_fd(-1)
        for one in own:
            one.close()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*SIGNALS} - {signal.SIGINT})
        run_worker(self._sockets, connection, self._margin, self._preloaded)


def _run_new(sockets: list[socket], connection: Connection, margin: float) -> None:
    preload.import_service()
    from shelfmark.service.workers.process import run_worker

    run_worker(sockets, connection, margin)


@contextlib.contextmanager
def _hold_signals(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Start a process that some signals do not reach; those that come meanwhile wait for the end.

    Ctrl-C never reaches a worker. A copy handles the others once it has its own handlers.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
