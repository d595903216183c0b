"""The processes of the service: how they start, stop and log."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from multiprocessing.process import BaseProcess
from typing import TypeVar

import uvicorn
from loguru import logger
from pydantic import ValidationError
from pydantic_settings import SettingsError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from shelfmark.core import console
from shelfmark.errors import ShelfmarkError
from shelfmark.service.http_protocol import HeaderTimeoutProtocol
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import WORKERS_FOLDER

SettingsType = TypeVar("SettingsType", bound=Settings)


def serve(host: str, port: int = 0, model: str = "", workers: int = 0) -> None:
    """Run the service until a signal stops it.

    Args:
        host: address to listen on.
        port: the settings give it by default, as they do the model and the workers.
        model: version to start with.
        workers: number of server processes.

    Raises:
        ShelfmarkError: a setting is invalid, or the model is missing or damaged.
    """
    # The workers read their settings from the environment.
    overrides = {"SHELFMARK_MODEL": model, "SHELFMARK_WORKERS": workers, "PORT": port}
    os.environ.update({name: str(value) for name, value in overrides.items() if value})
    settings = read_settings(Settings)
    from shelfmark.models.registry import Registry

    Registry(settings.models).check(settings.model)  # or each worker would fail and be restarted
    # The server raises the signal again once it has answered all requests.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="shelfmark-") as runtime:
        if settings.workers > 1:
            os.environ["SHELFMARK_RUNTIME"] = runtime
            os.environ[WORKERS_FOLDER] = runtime
        _run_server(
            uvicorn.Config(
                "shelfmark.service.server:create_worker_app",
                factory=True,
                host=host,
                port=settings.port,
                workers=settings.workers,
                loop="asyncio",  # even where uvloop is installed: the tests run this one
                http=HeaderTimeoutProtocol,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=settings.shutdown_seconds,
                # A worker does not answer while it imports its libraries, which takes seconds on a
                # busy machine: the default of 5 would kill and restart it endlessly.
                timeout_worker_healthcheck=60,
            )
        )


def _run_server(config: uvicorn.Config) -> None:
    if config.workers > 1:
        Supervisor(config, sockets=[config.bind_socket()]).run()
        return
    server = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


class Supervisor(Multiprocess):
    """Restarts a worker as soon as it dies, even in the middle of a health check."""

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have died or no longer answer."""
        for process in self.processes:
            # While this process holds the worker's end of the pipe too, the worker's death does
            # not close the pipe, and the health check would wait for its whole timeout.
            process.child_conn.close()
        super().keep_subprocess_alive()


def read_settings(kind: type[SettingsType]) -> SettingsType:
    """Return settings read from the environment.

    Raises:
        ShelfmarkError: a setting is invalid.
    """
    try:
        return kind()
    except (ValidationError, SettingsError) as error:
        if isinstance(error, SettingsError):  # a list that is not JSON
            raise ShelfmarkError(str(error)) from error
        first = error.errors()[0]
        raise ShelfmarkError(
            f"SHELFMARK_{first['loc'][0]}".upper() + f": {first['msg']}"
        ) from error


def create_worker_app() -> ASGIApp:
    """Return the application of one worker, with its log set up."""
    from shelfmark.service.app import create_app

    if parent := multiprocessing.parent_process():
        threading.Thread(target=_exit_with, args=[parent], daemon=True).start()
    console.configure_logging()
    logging.basicConfig(handlers=[LoguruHandler()], level=logging.INFO, force=True)
    return OneLineStartupErrors(create_app())


def _exit_with(parent: BaseProcess) -> None:
    """End this worker when the process that started it ends, even if it was killed."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


class OneLineStartupErrors:
    """Reduces the traceback of a failed start to the line that names the reason."""

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


class LoguruHandler(logging.Handler):
    """Passes uvicorn's log records on to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())


def main() -> None:
    """Serve on all addresses, as in a container, with the settings of the environment."""
    console.configure_logging()
    with console.one_line_errors():
        serve("0.0.0.0")  # noqa: S104 - a container's own network


if __name__ == "__main__":
    main()
