"""The state that the routes share: settings, the served model and index, counters, the log."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from shelfmark.errors import ShelfmarkError
from shelfmark.models.answers import PaperQuery
from shelfmark.models.artifact import Model
from shelfmark.monitoring.log_line import AnswerSummary, LoggedAnswer
from shelfmark.monitoring.prediction_log import PredictionLog
from shelfmark.service.batching import Batcher
from shelfmark.service.model_slot import ModelSlot
from shelfmark.service.search.index_slot import IndexSlot
from shelfmark.service.search.turns import SearchTurns
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry
from shelfmark.service.workers.failures import describe_error
from shelfmark.service.workers.preload import Preloaded

LOG_METRICS_SECONDS = 1.0  # between two updates of the log's gauges
CLOSE_SECONDS = 0.25


class PredictionService:
    """One worker's model and index, the turns of requests at them, counters and prediction log.

    Args:
        settings: its limits, keys and folders.
        preloaded: a model that is open already, which is served if it is the one to serve.
    """

    def __init__(self, settings: Settings, preloaded: Preloaded | None = None) -> None:
        self.settings = settings
        self.telemetry = Telemetry()
        self.slot = ModelSlot(settings, self.telemetry, preloaded=preloaded)
        self.batcher = Batcher(lambda: self.slot.model)
        self.index = IndexSlot(settings, self.telemetry)
        self.turns = SearchTurns((os.cpu_count() or 1) // settings.workers)
        self.log: PredictionLog | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Open the model and the log before the first request, and close them after the last.

        Raises:
            ShelfmarkError: the model or the log cannot be opened.
        """
        async with contextlib.AsyncExitStack() as closing:
            # Each step of the end runs, whatever the others do, and also if the start fails.
            closing.push_async_callback(self.index.stop)
            closing.push_async_callback(_end_soon, self.turns.aclose)
            closing.push_async_callback(_end_soon, self.batcher.aclose)
            closing.push_async_callback(self.slot.stop)
            try:
                await self._start(closing)
            except Exception as error:  # the last line of its traceback may not name it
                raise ShelfmarkError(describe_error(error)) from error
            yield

    async def _start(self, closing: contextlib.AsyncExitStack) -> None:
        """Open the model and the log, and register how they are closed."""
        await self.slot.start()
        self.index.start()
        gc.freeze()  # or each collection walks through the model and the libraries
        if self.settings.log_folder is not None:
            self.log = self._open_log(self.settings.log_folder)
            # As long as requests may take: the supervisor ends a worker for which it is too long.
            seconds = self.settings.shutdown_seconds
            closing.push_async_callback(asyncio.to_thread, self.log.close, seconds)
            closing.callback(asyncio.create_task(self._update_log_metrics(self.log)).cancel)

    def _open_log(self, folder: Path) -> PredictionLog:
        settings = self.settings
        return PredictionLog(
            folder, self._log_line, settings.log_max_bytes, settings.log_max_seconds
        )

    def record(
        self, model: Model, queries: list[PaperQuery], answers: list[AnswerSummary], request_id: str
    ) -> None:
        """Count the answers to a request, and hand them to the prediction log if there is one."""
        self.telemetry.count_answers(answers)
        if self.log is not None:
            for query, answer in zip(queries, answers, strict=True):
                self.log.append(LoggedAnswer(time.time(), request_id, model, query, answer))

    async def _update_log_metrics(self, log: PredictionLog) -> None:
        """Copy the log's counters to the gauges, which any worker reports for all of them."""
        while True:
            self.telemetry.log_lines.labels("written").set(log.written)
            self.telemetry.log_lines.labels("dropped").set(log.dropped)
            await asyncio.sleep(LOG_METRICS_SECONDS)

    def _log_line(self, event: LoggedAnswer) -> dict[str, Any]:
        """Return the log line of an answer; the log calls this in its own thread."""
        return event.line(self.settings.log_sketch, self.settings.log_texts).to_json()


async def _end_soon(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Wait for what is in progress, but not for ever: nobody waits for its answers now."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await close()
