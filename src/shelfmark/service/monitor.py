"""The drift service: starts runs of `inv drift`, one at a time, and shows the last report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from loguru import logger
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from shelfmark import __version__
from shelfmark.core import console
from shelfmark.monitoring import detect
from shelfmark.service import problems, server, telemetry
from shelfmark.service.app import check_key
from shelfmark.service.middleware import Edge
from shelfmark.service.problems import documented
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry

# The page brings its style and pictures with it and has no script.
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
NO_REPORT = "There is no report yet: ask for one with POST /drift/run."
DONE = tuple(detect.EXIT_STATUS.values())


class MonitorSettings(Settings):
    """The settings of the service, of which the monitor reads some, and its own."""

    reports: Path = Field(Path("reports"), description="folder of the reports")
    since: str = Field("7d", description="window of log lines that a run compares")
    every_seconds: float | None = Field(
        None, gt=0, description="time between scheduled runs; without it, runs start on request"
    )
    run_seconds: float = Field(3600, gt=0, description="longest time of a run")


class Runner:
    """Runs `inv drift` in a process of its own; while one is in hand there is no other."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self.last: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """Whether a run is in hand."""
        return self._task is not None and not self._task.done()

    def start(self) -> bool:
        """Start a run, unless one is in hand; say whether."""
        if self.running:
            return False
        self._task = asyncio.create_task(self._run())
        return True

    async def every(self, seconds: float) -> None:
        """Start a run now and then, for ever."""
        while True:
            self.start()
            await asyncio.sleep(seconds)

    async def stop(self) -> None:
        """End the run in hand; the last report is as it was."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        one, started = self._settings, time.time()
        words = [str(Path(one.models, one.model)), str(one.reports), str(one.log_folder or ""),
                 "", one.since]  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shelfmark.monitoring.detect", *words),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(one.run_seconds):
                _, told = await process.communicate()
            said = told.decode(errors="replace").strip()
        except TimeoutError:
            said = f"error: stopped after {one.run_seconds:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        ended = process.returncode in DONE
        if not ended:
            logger.warning("drift run: {}", said.rpartition("\n")[2] or "killed")
        self.last = {
            "started": started,
            "seconds": round(time.time() - started, 1),
            "outcome": "report" if ended else "failed",
        }


def create_app(settings: MonitorSettings | None = None) -> ASGIApp:
    """Assemble the monitor."""
    settings = settings or MonitorSettings()
    runner = Runner(settings)
    counted = Telemetry()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        clock = None
        if settings.every_seconds is not None:
            clock = asyncio.create_task(runner.every(settings.every_seconds))
        try:
            yield
        finally:
            if clock is not None:
                clock.cancel()
            await runner.stop()

    app = FastAPI(
        title="Shelfmark monitor", version=__version__, lifespan=lifespan,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    problems.add_handlers(app)
    _add_runs(app, settings, runner)
    _add_reports(app, settings.reports)
    _add_state(app, settings.reports, counted)
    return Edge(app, settings, counted)


def _add_runs(app: FastAPI, settings: MonitorSettings, runner: Runner) -> None:
    refusals = documented(
        s401="The admin key is missing or wrong",
        s404="There is no admin key or no log, so this is off",
        s409="A run is in hand",
    )
    header: dict[str, Any] = {"in": "header", "name": "X-Admin-Key", "schema": {"type": "string"}}

    @app.post(
        "/drift/run", status_code=202, responses=refusals, openapi_extra={"parameters": [header]}
    )
    async def run(request: Request) -> dict[str, str]:
        """Start a comparison of the log's newest lines; its report takes the last one's place."""
        if settings.admin_key is None:
            raise HTTPException(404, "Runs are off: the monitor has no admin key.")
        check_key(settings.admin_key, request, "X-Admin-Key")
        if settings.log_folder is None:
            raise HTTPException(404, "Runs are off: the monitor has no prediction log.")
        if not runner.start():
            raise HTTPException(409, "A run is in hand; ask again when it has ended.")
        return {"status": "started"}

    @app.get("/drift/run")
    async def state() -> dict[str, Any]:
        """Say whether a run is in hand, and what became of the last one."""
        return {"running": runner.running, "last": runner.last}


def _add_reports(app: FastAPI, reports: Path) -> None:
    refusals = documented(s404="There is no report yet")

    @app.get("/drift/latest", response_class=Response, responses=refusals)
    async def latest() -> Response:
        """Return the last report."""
        return Response(_part(reports, detect.REPORT), media_type="application/json")

    @app.get("/monitoring", response_class=Response, responses=refusals)
    async def page() -> Response:
        """Show the last report as a page."""
        headers = {"Content-Security-Policy": PAGE_POLICY}
        content = _part(reports, detect.PAGE)
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)


def _add_state(app: FastAPI, reports: Path, counted: Telemetry) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process is alive."""
        return {"status": "alive"}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Show the last report's gauges and the requests, for Prometheus."""
        shown = await asyncio.to_thread(counted.page)
        with contextlib.suppress(HTTPException):
            shown += _part(reports, detect.GAUGES)
        return Response(shown, media_type=telemetry.CONTENT_TYPE)


def _part(reports: Path, name: str) -> bytes:
    """Return a file of the last report; a newer one may take its place at any moment."""
    for _ in range(3):
        folder = detect.latest_report(reports)
        with contextlib.suppress(OSError):
            if folder is not None:
                return (folder / name).read_bytes()
    raise HTTPException(404, NO_REPORT)


def serve(host: str, port: int = 0) -> None:
    """Run the monitor until it is told to stop; what is not given comes from the environment.

    Raises:
        ShelfmarkError: a setting is wrong.
    """
    settings = server.checked(MonitorSettings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    console.configure_logging()
    logging.basicConfig(handlers=[server.ToLoguru()], level=logging.INFO, force=True)
    config = uvicorn.Config(
        create_app(settings), host=host, port=port or settings.port, loop="asyncio",
        log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )  # fmt: skip
    one = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        one.run()
    if not one.started:
        raise SystemExit(STARTUP_FAILURE)


def main() -> None:
    """Serve on all addresses, as a container does; all else comes from the environment."""
    with console.one_line_errors():
        serve("0.0.0.0")  # noqa: S104 - a container's own network


if __name__ == "__main__":
    main()
