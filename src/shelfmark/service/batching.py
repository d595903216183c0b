"""Batches of requests: what waits is predicted in slices of a limited cost, one at a time.

No request waits for a batch to fill: the next batch gathers while the current one is predicted. In
a batch of sixteen, a paper costs a quarter of what it costs alone. A slice of small cost is
predicted by the event loop itself, because to hand it to a thread and back takes 0.1 ms; all others
by a thread, so that the loop answers other requests meanwhile.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import orjson

from shelfmark.models.answers import Answer, PaperQuery, answer_queries
from shelfmark.models.artifact import Model
from shelfmark.monitoring.log_line import AnswerSummary
from shelfmark.service.limits import cost
from shelfmark.service.limits.cost import query_cost
from shelfmark.service.limits.fair_queue import FairQueue
from shelfmark.service.limits.memory import MemoryShare
from shelfmark.service.limits.pending import PendingRequest

SLICE_COST = 15_000  # µs: what a request may wait for the one before it
LOOP_COST = 4_000  # µs: what the event loop may spend on a slice, which other requests wait for

Computed = TypeVar("Computed")
BatchAnswer = tuple[Model, list["EncodedAnswer"]]
Slice = tuple["PendingPapers", Sequence[PaperQuery]]


class EncodedAnswer(NamedTuple):
    """An answer as JSON, made in the thread that predicts, and what is recorded of it.

    The many objects of an answer with a long ranking end with its slice: a hundred thousand of them
    would stop the worker whenever Python looks for garbage.
    """

    json: bytes
    summary: AnswerSummary

    @classmethod
    def of(cls, answer: Answer) -> EncodedAnswer:
        """Return the encoded answer."""
        return cls(orjson.dumps(answer.to_json()), AnswerSummary.of(answer))


class PendingPapers(PendingRequest[PaperQuery, EncodedAnswer, BatchAnswer]):
    """A request, and the one model that gives its answers."""

    model: Model | None = None

    def _result(self) -> BatchAnswer:
        assert self.model is not None
        return self.model, self.answers

    @staticmethod
    def _count_bytes(answer: EncodedAnswer) -> int:
        return len(answer.json)


class Batcher:
    """Answers queries with the model that is current when their first slice starts.

    Args:
        current_model: returns that model.
    """

    def __init__(self, current_model: Callable[[], Model]) -> None:
        self._current_model = current_model
        # A slice is with explanations or without, or a small request without would wait for the
        # explanations of another.
        self._queue: FairQueue[PaperQuery, PendingPapers] = FairQueue(
            self._cost, SLICE_COST, lambda query: query.explain
        )
        self._thread = ThreadPoolExecutor(1, "predict")
        self._using_model = threading.Lock()
        self._gathering = False
        self._task: asyncio.Task[None] | None = None  # hands slices to the thread

    def submit(
        self, queries: Sequence[PaperQuery], memory: MemoryShare
    ) -> asyncio.Future[BatchAnswer]:
        """Return the future of the answers and of the one model that gives them.

        Args:
            queries: of one request.
            memory: the request's share of the memory, which grows with its answers.

        Once the future is done, for example cancelled, no further query of the request is answered.
        Its exception is what the model raises for these queries alone.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[BatchAnswer] = loop.create_future()
        if not queries:
            future.set_result((self._current_model(), []))
            return future
        request = PendingPapers(queries, memory, future)
        self._queue.add(request)
        future.add_done_callback(lambda _: self._queue.remove(request))
        if not self._gathering and (self._task is None or self._task.done()):
            self._gathering = True
            loop.call_soon(self._answer_gathered)  # after the requests that have arrived with it
        return future

    def run_between(self, function: Callable[[], Computed]) -> Computed:
        """Return what a function returns, which the thread that predicts runs between two slices.

        Other threads call this: the model's libraries are used by one thread at a time.
        """
        return self._thread.submit(self._use_model, function).result()

    async def aclose(self) -> None:
        """Wait for the batch in flight."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    def _answer_gathered(self) -> None:
        """Answer the next slice now if it is small and the model is free; the thread has the rest.

        The thread may use the model between two slices, for `run_between`.
        """
        self._gathering = False
        batch = self._next_slice()
        if batch and self._is_small(batch) and self._using_model.acquire(blocking=False):
            try:
                outcomes = _answer_batch(batch)
            finally:
                self._using_model.release()
            _deliver(batch, outcomes)
            batch = self._next_slice()
        if batch:
            self._task = asyncio.create_task(self._answer_in_thread(batch))

    async def _answer_in_thread(self, batch: list[Slice]) -> None:
        """Answer a slice, and what waits then."""
        loop = asyncio.get_running_loop()
        while batch:
            answer = functools.partial(_answer_batch, batch)
            outcomes = await loop.run_in_executor(self._thread, self._use_model, answer)
            _deliver(batch, outcomes)
            batch = self._next_slice()

    def _next_slice(self) -> list[Slice]:
        batch = self._queue.next_slice()
        for request, _ in batch:
            request.model = request.model or self._current_model()
        return batch

    def _cost(self, query: PaperQuery) -> float:
        return query_cost(query, self._current_model().classifier.cost)

    def _is_small(self, batch: list[Slice]) -> bool:
        left: float = LOOP_COST - cost.SLICE
        for _, queries in batch:
            for query in queries:
                left -= self._cost(query)
                if left < 0:
                    return False
        return True

    def _use_model(self, function: Callable[[], Computed]) -> Computed:
        with self._using_model:
            return function()


def _deliver(batch: list[Slice], outcomes: list[list[EncodedAnswer] | Exception]) -> None:
    for (request, _), outcome in zip(batch, outcomes, strict=True):
        request.take(outcome)


def _answer_batch(batch: list[Slice]) -> list[list[EncodedAnswer] | Exception]:
    """Answer all slices at once; if that fails, each alone, so that none fails for another."""
    model = batch[0][0].model
    if all(request.model is model for request, _ in batch):
        assert model is not None
        try:
            queries = [query for _, queries in batch for query in queries]
            answers = map(EncodedAnswer.of, answer_queries(model, queries))
            return [[next(answers) for _ in queries] for _, queries in batch]
        except Exception as error:
            if len(batch) == 1:
                return [error]
    return [outcome for one in batch for outcome in _answer_batch([one])]
