"""Batches of requests: one thread predicts, and takes all that wait at once.

No request waits for a batch to fill: the next batch gathers while the current one is predicted. In
a batch of sixteen, a paper costs a seventh of what it costs alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from shelfmark.models.answers import Answer, PaperQuery, answer_queries
from shelfmark.models.artifact import Model

MAX_BATCH = 256  # papers, unless a single request has more

BatchAnswer = tuple[Model, list[Answer]]
PendingRequest = tuple[Sequence[PaperQuery], "asyncio.Future[BatchAnswer]"]


class Batcher:
    """Answers queries with the model that is current when their batch starts.

    Args:
        current_model: returns that model.
    """

    def __init__(self, current_model: Callable[[], Model]) -> None:
        self._current_model = current_model
        self._waiting: deque[PendingRequest] = deque()
        self._thread = ThreadPoolExecutor(1, "predict")
        self._loop_task: asyncio.Task[None] | None = None

    async def answer(self, queries: Sequence[PaperQuery]) -> BatchAnswer:
        """Return the answers, and the one model that gave them.

        Raises:
            Exception: what the model raises for these queries alone.
        """
        future: asyncio.Future[BatchAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append((queries, future))
        if self._loop_task is None or self._loop_task.done():
            self._loop_task = asyncio.create_task(self._predict_waiting())
        return await future

    async def aclose(self) -> None:
        """Wait for the batch in flight."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _predict_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next_batch():
            outcomes = await loop.run_in_executor(
                self._thread, _answer_batch, self._current_model(), batch
            )
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future.done():  # the request has ended meanwhile
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _next_batch(self) -> list[PendingRequest]:
        """Return the requests that have waited longest, as many as fit a batch."""
        batch: list[PendingRequest] = []
        papers = 0
        while self._waiting:
            queries, future = self._waiting[0]
            if batch and papers + len(queries) > MAX_BATCH:
                break
            self._waiting.popleft()
            if not future.done():
                batch.append((queries, future))
                papers += len(queries)
        return batch


def _answer_batch(model: Model, batch: list[PendingRequest]) -> list[BatchAnswer | Exception]:
    """Answer all requests at once; if that fails, each alone, so that none fails for another."""
    try:
        answers = iter(answer_queries(model, [query for queries, _ in batch for query in queries]))
        return [(model, [next(answers) for _ in queries]) for queries, _ in batch]
    except Exception as error:
        if len(batch) == 1:
            return [error]
        return [outcome for request in batch for outcome in _answer_batch(model, [request])]
