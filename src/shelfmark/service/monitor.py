"""The drift monitor: runs `shelfmark drift`, one run at a time, and serves the latest report."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from loguru import logger
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from shelfmark.core import console, environment, files
from shelfmark.monitoring import detect
from shelfmark.service import server, telemetry
from shelfmark.service.application import Application
from shelfmark.service.auth import ADMIN_KEY, RequiredKey, document_key
from shelfmark.service.middleware.guard import RequestGuard
from shelfmark.service.middleware.head import answer_head
from shelfmark.service.middleware.prefix import ProxyPrefix
from shelfmark.service.protocol.http import LimitedHttpProtocol
from shelfmark.service.responses import document_problems
from shelfmark.service.settings import MonitorSettings
from shelfmark.service.telemetry import Telemetry
from shelfmark.service.workers import process
from shelfmark.service.workers.descriptors import LoopErrors
from shelfmark.service.workers.listening import describe_sockets, listen

# The page contains its style and pictures, and has no script.
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
NO_REPORT = "There is no report yet: start a run with POST /drift/run."
SUCCESS_CODES = tuple(detect.EXIT_STATUS.values())


class DriftRunner:
    """Runs `shelfmark drift` in a separate process, at most one at a time."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self.last_run: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self._task is not None and not self._task.done()

    def start(self) -> bool:
        """Start a run unless one is in progress; return whether it started."""
        if self.running:
            return False
        self._task = asyncio.create_task(self._run())
        return True

    async def run_every(self, seconds: float) -> None:
        """Start a run now and after each interval, until cancelled."""
        while True:
            self.start()
            await asyncio.sleep(seconds)

    async def stop(self) -> None:
        """Stop the run in progress; the latest report stays in place."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        settings, started = self._settings, time.time()
        arguments = [str(Path(settings.models, settings.model)), str(settings.reports),
                     str(settings.log_folder or ""), "", settings.since]  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shelfmark.monitoring.detect", *arguments),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(settings.run_seconds):
                _, stderr = await process.communicate()
            message = stderr.decode(errors="replace").strip()
        except TimeoutError:
            message = f"error: stopped after {settings.run_seconds:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        succeeded = process.returncode in SUCCESS_CODES
        if not succeeded:
            logger.warning("drift run: {}", message.rpartition("\n")[2] or "killed")
        self.last_run = {
            "started": started,
            "seconds": round(time.time() - started, 1),
            "outcome": "report" if succeeded else "failed",
        }


def create_app(settings: MonitorSettings | None = None) -> ASGIApp:
    """Assemble the monitor."""
    settings = settings or MonitorSettings()
    runner = DriftRunner(settings)
    metrics = Telemetry()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(runner.stop)
            if settings.every_seconds is not None:
                schedule = asyncio.create_task(runner.run_every(settings.every_seconds))
                closing.callback(schedule.cancel)
            yield

    app = Application("Shelfmark monitor", lifespan)
    _add_runs(app, settings, runner)
    _add_reports(app, settings.reports)
    _add_state(app, settings.reports, metrics)
    disabled = "Runs are disabled: the monitor has no admin key."
    keys = {"/drift/run": RequiredKey(ADMIN_KEY, settings.admin_key, disabled)}
    return ProxyPrefix(RequestGuard(answer_head(app), settings, metrics, keys), settings.root_path)


def _add_runs(app: FastAPI, settings: MonitorSettings, runner: DriftRunner) -> None:
    refusals = document_problems(
        s401="The admin key is missing or wrong",
        s404="The monitor has no admin key or no log, so runs are disabled",
        s409="A run is in progress",
    )

    @app.post(
        "/drift/run", status_code=202, responses=refusals, openapi_extra=document_key(ADMIN_KEY)
    )
    async def run() -> dict[str, str]:
        """Compare the newest lines of the log; the new report replaces the latest one."""
        if settings.log_folder is None:
            raise HTTPException(404, "Runs are disabled: the monitor has no prediction log.")
        if not runner.start():
            raise HTTPException(409, "A run is in progress; ask again when it has ended.")
        return {"status": "started"}

    @app.get("/drift/run")
    async def state() -> dict[str, Any]:
        """Report whether a run is in progress, and the outcome of the last one."""
        return {"running": runner.running, "last": runner.last_run}


def _add_reports(app: FastAPI, reports: Path) -> None:
    refusals = document_problems(s404="There is no report yet")

    @app.get("/drift/latest", response_class=Response, responses=refusals)
    async def latest() -> Response:
        """Return the latest report."""
        return Response(_read_report(reports, detect.REPORT), media_type="application/json")

    @app.get("/monitoring", response_class=Response, responses=refusals)
    async def page() -> Response:
        """Return the latest report as a page."""
        headers = {"Content-Security-Policy": PAGE_POLICY}
        content = _read_report(reports, detect.PAGE)
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def _add_state(app: FastAPI, reports: Path, counters: Telemetry) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Report that the process is alive."""
        return {"status": "alive"}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return the gauges of the latest report and the counters of requests, for Prometheus."""
        text = await asyncio.to_thread(counters.exposition)
        with contextlib.suppress(HTTPException):
            text += _read_report(reports, detect.GAUGES)
        return Response(text, media_type=telemetry.CONTENT_TYPE)


def _read_report(reports: Path, name: str) -> bytes:
    """Return a file of the latest report, which a newer one may replace at any moment."""
    for _ in range(3):
        folder = detect.latest_report(reports)
        with contextlib.suppress(OSError):
            if folder is not None:
                return files.read_bytes(folder / name)
    raise HTTPException(404, NO_REPORT)


def serve(host: str, port: int = 0, root_path: str = "") -> None:
    """Run the monitor until a signal stops it.

    Args:
        host: address to listen on.
        port: the settings give it by default.
        root_path: path of a proxy under which the monitor stands.

    Raises:
        ShelfmarkError: a setting is invalid, or the port is taken.
    """
    with environment.override({"SHELFMARK_ROOT_PATH": root_path} if root_path else {}):
        given = ["SHELFMARK_ROOT_PATH"] if root_path else []
        settings = server.read_settings(MonitorSettings, given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    process.configure_logging()
    sockets = listen(host, port or settings.port)
    config = uvicorn.Config(
        create_app(settings), loop="asyncio",
        http=LimitedHttpProtocol, ws="none", log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )  # fmt: skip
    monitor = uvicorn.Server(config)
    logger.info("listening on {}", describe_sockets(sockets))
    with contextlib.suppress(KeyboardInterrupt):
        monitor.run(sockets)
    if not monitor.started:
        raise SystemExit(STARTUP_FAILURE)


def main() -> None:
    """Serve on all addresses, as in a container, with the settings of the environment."""
    environment.drop_blank()
    with console.one_line_errors():
        serve("0.0.0.0")  # noqa: S104 - a container's own network


if __name__ == "__main__":
    main()
