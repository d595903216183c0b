"""A worker: a process that answers requests, from its start by the supervisor to its end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from socket import socket
from types import FrameType

import uvicorn
from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE

from shelfmark.core import console
from shelfmark.service.app import create_app
from shelfmark.service.protocol.http import LimitedHttpProtocol
from shelfmark.service.settings import Settings
from shelfmark.service.workers.descriptors import LoopErrors
from shelfmark.service.workers.failures import describe_error
from shelfmark.service.workers.listening import share
from shelfmark.service.workers.preload import Preloaded


def run_worker(
    sockets: list[socket], connection: Connection, margin: float, preloaded: Preloaded | None = None
) -> None:
    """Answer requests until the supervisor sends SIGTERM or ends.

    Args:
        sockets: to accept connections on.
        connection: to the supervisor.
        margin: seconds after the time for requests in flight in which to end.
        preloaded: the model that the supervisor has opened before it forked this process.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # nothing has begun yet
    link = SupervisorLink(connection)
    try:
        settings = Settings()
        link.start(settings.shutdown_seconds + margin)
        # The supervisor removes what is left there by a worker that was killed.
        tempfile.tempdir = str(settings.runtime)
        app = create_worker_app(preloaded)
        server = WorkerServer(_uvicorn_config(app, settings), link)
        server.run([share(one, settings.workers) for one in sockets])
    except SystemExit:  # the server has logged nothing: the supervisor reports the reason
        link.send(app.failure)
        raise
    except Exception as error:
        link.send(describe_error(error))
        sys.exit(STARTUP_FAILURE)


def create_worker_app(preloaded: Preloaded | None = None) -> WorkerApp:
    """Return the application of one worker, with its log set up."""
    configure_logging()
    return WorkerApp(create_app(preloaded=preloaded))


LATE_SECONDS = 0.2  # between looks for connections that came while the server was stopping


def configure_logging() -> None:
    """Send the log, and that of the libraries, to standard error."""
    console.configure_logging()
    logging.basicConfig(handlers=[LoguruHandler()], level=logging.INFO, force=True)


def _uvicorn_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",  # even where uvloop is installed: the tests run this one
        http=LimitedHttpProtocol,
        ws="none",  # no route takes one, and its connections would have no limits
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing reads the address of a client
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


class SupervisorLink:
    """Answers the supervisor's health checks, and ends this worker when the supervisor ends.

    The supervisor learns whether the server has started, or why it has not.

    Args:
        connection: to the supervisor.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self.started = False

    def start(self, seconds: float) -> None:
        """Answer from a thread; without a supervisor, end within so many seconds."""
        threading.Thread(target=self._answer, args=[seconds], daemon=True).start()

    def send(self, message: bool | str) -> None:
        """Send a message; one to a supervisor that has ended is lost."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.send(message)

    def _answer(self, seconds: float) -> None:
        with contextlib.suppress(EOFError, OSError):
            while self._connection.recv():
                self.send(self.started)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        os._exit(1)


class WorkerServer(uvicorn.Server):
    """A server that the supervisor stops, and which logs nothing until it has started.

    Args:
        config: of uvicorn.
        link: to the supervisor.
    """

    def __init__(self, config: uvicorn.Config, link: SupervisorLink) -> None:
        super().__init__(config)
        self._link = link
        # A failure to start is one line, which the supervisor writes.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    async def serve(self, sockets: list[socket] | None = None) -> None:
        """Answer requests until SIGTERM, then end the process."""
        await super().serve(sockets)
        # All is answered or given up, and the log is closed. A thread that still predicts or
        # opens a model would hold up the end of the interpreter.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(0)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Open the model and accept connections.

        Raises:
            SystemExit: the application does not start.
        """
        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        await super().startup(sockets)
        logging.getLogger("uvicorn.error").setLevel(logging.INFO)
        self._link.started = True
        self._link.send(True)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Answer the requests in flight and close all connections.

        Uvicorn closes those that it knows at this moment. One that is accepted in the same moment
        would be kept open, and a client that goes on asking would keep the server from ending.
        """
        late = asyncio.create_task(self._close_late_connections())
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    async def _close_late_connections(self) -> None:
        while True:
            await asyncio.sleep(LATE_SECONDS)
            for connection in list(self.server_state.connections):
                if not connection.transport.is_closing():
                    connection.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM, however often it comes; Ctrl-C is for the supervisor."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop after the requests in flight; end at once if none can be."""
        if not self.started:
            os._exit(0)
        self.should_exit = True


class WorkerApp:
    """The application of a worker, which logs no traceback when it fails to start.

    It keeps the line that names the reason.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure = "it ended before it had started"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the start and the end, or one request."""
        if scope["type"] == "lifespan":
            send = functools.partial(self._keep_failure, send)
        await self._app(scope, receive, send)

    async def _keep_failure(self, send: Send, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            line = message.get("message", "").strip().rpartition("\n")[2]
            self.failure = line.partition("ShelfmarkError: ")[2] or line
            message = {**message, "message": ""}
        await send(message)


class LoguruHandler(logging.Handler):
    """Passes the records of logging, uvicorn's among them, on to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())
