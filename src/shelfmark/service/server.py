"""Starting and stopping the service: its processes, their signals and their log."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import h11
import uvicorn
from loguru import logger
from pydantic import ValidationError
from pydantic_settings import SettingsError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from shelfmark.core import console
from shelfmark.errors import ShelfmarkError
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import WORKERS_FOLDER

Kind = TypeVar("Kind", bound=Settings)


def serve(host: str, port: int = 0, model: str = "", workers: int = 0) -> None:
    """Run the service until it is told to stop; what is not given comes from the environment.

    Raises:
        ShelfmarkError: there is no such model, or it is damaged.
    """
    # The workers read the environment too, whoever set it.
    given = {"SHELFMARK_MODEL": model, "SHELFMARK_WORKERS": workers, "PORT": port}
    os.environ.update({name: str(value) for name, value in given.items() if value})
    settings = checked(Settings)
    from shelfmark.models.registry import Registry

    Registry(settings.models).check(settings.model)  # or each worker would fail, again and again
    # The server raises the signal again when all is answered: an end in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="shelfmark-") as runtime:
        if settings.workers > 1:
            os.environ["SHELFMARK_RUNTIME"] = runtime
            os.environ[WORKERS_FOLDER] = runtime
        _run(
            uvicorn.Config(
                "shelfmark.service.server:create",
                factory=True,
                host=host,
                port=settings.port,
                workers=settings.workers,
                loop="asyncio",  # whatever else is installed: what is tested is what runs
                http=Impatient,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=settings.shutdown_seconds,
                # A worker is silent while it imports its libraries, which takes seconds on a busy
                # machine: the server's own 5 would kill and start it for ever.
                timeout_worker_healthcheck=60,
            )
        )


def _run(config: uvicorn.Config) -> None:
    if config.workers > 1:
        Supervisor(config, sockets=[config.bind_socket()]).run()
        return
    one = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        one.run()
    if not one.started:
        sys.exit(STARTUP_FAILURE)


class Supervisor(Multiprocess):
    """Starts a worker anew as soon as it has died, also while it is asked whether it lives."""

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that died or no longer answer."""
        for process in self.processes:
            # While this process holds the worker's end of the pipe too, the death of the worker
            # does not close it, and its answer would be waited for until the time is over.
            process.child_conn.close()
        super().keep_subprocess_alive()


def checked(kind: type[Kind]) -> Kind:
    """Return settings read from the environment.

    Raises:
        ShelfmarkError: one of them is wrong.
    """
    try:
        return kind()
    except (ValidationError, SettingsError) as error:
        if isinstance(error, SettingsError):  # a list that is no JSON
            raise ShelfmarkError(str(error)) from error
        first = error.errors()[0]
        raise ShelfmarkError(
            f"SHELFMARK_{first['loc'][0]}".upper() + f": {first['msg']}"
        ) from error


def create() -> ASGIApp:
    """Return the service of one worker, its log set up."""
    from shelfmark.service.app import create_app

    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    console.configure_logging()
    logging.basicConfig(handlers=[ToLoguru()], level=logging.INFO, force=True)
    return OneLineStartupErrors(create_app())


def _end_with(parent: BaseProcess) -> None:
    """End this worker when the process that started it is gone, however that ended."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@functools.cache
def _patience() -> float:
    return Settings().header_seconds


class Impatient(H11Protocol):
    """Closes a connection whose request takes too long to have all its headers."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._patience = _patience()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._patience, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Take what has come; wait on while that is a part of a request's headers."""
        super().data_received(data)
        partial = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if partial and self._timer is None:
            self._timer = self.loop.call_later(self._patience, self.transport.close)
        elif not partial:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OneLineStartupErrors:
    """Gives the server the reason a start failed, without the traceback around it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""

        async def short(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                reason = message.get("message", "").strip().splitlines()[-1]
                message = {**message, "message": reason.partition("ShelfmarkError: ")[2] or reason}
            await send(message)

        await self._app(scope, receive, short if scope["type"] == "lifespan" else send)


class ToLoguru(logging.Handler):
    """Hands the server's own log lines to loguru, the one place where lines are written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())


def main() -> None:
    """Serve on all addresses, as a container does; all else comes from the environment."""
    console.configure_logging()
    with console.one_line_errors():
        serve("0.0.0.0")  # noqa: S104 - a container's own network


if __name__ == "__main__":
    main()
