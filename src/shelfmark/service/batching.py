"""One thread that answers all requests which wait, those of one moment together.

No request waits for others to come: while some are worked on, the next gather. A paper in a batch
of sixteen costs a seventh of a paper alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shelfmark.models.answers import Asked, answer_each
from shelfmark.models.artifact import Model

MOST = 256  # papers in a batch, unless one list alone has more

Answered = tuple[Model, list[dict[str, Any]]]
Waiting = tuple[Sequence[Asked], "asyncio.Future[Answered]"]


class Batcher:
    """Answers questions by whichever model is current when their batch begins.

    Args:
        current: returns that model.
    """

    def __init__(self, current: Callable[[], Model]) -> None:
        self._current = current
        self._waiting: deque[Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, "predict")
        self._worker: asyncio.Task[None] | None = None

    async def answer(self, asked: Sequence[Asked]) -> Answered:
        """Return the answers, and the one model that gave them.

        Raises whatever the model raises for these questions alone.
        """
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def aclose(self) -> None:
        """Wait for the batch in hand."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next():
            outcomes = await loop.run_in_executor(self._thread, _answer, self._current(), batch)
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future.done():  # its request has ended meanwhile
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _next(self) -> list[Waiting]:
        """Return the longest waiting requests, as many as make up a batch."""
        batch: list[Waiting] = []
        papers = 0
        while self._waiting:
            asked, future = self._waiting[0]
            if batch and papers + len(asked) > MOST:
                break
            self._waiting.popleft()
            if not future.done():
                batch.append((asked, future))
                papers += len(asked)
        return batch


def _answer(model: Model, batch: list[Waiting]) -> list[Answered | Exception]:
    """Answer all at once; where that fails, each request alone, so that one harms no other."""
    try:
        found = iter(answer_each(model, [one for asked, _ in batch for one in asked]))
        return [(model, [next(found) for _ in asked]) for asked, _ in batch]
    except Exception as error:
        if len(batch) == 1:
            return [error]
        return [outcome for one in batch for outcome in _answer(model, [one])]
