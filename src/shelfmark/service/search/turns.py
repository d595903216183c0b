"""The turns of searches and embeddings: a few threads answer them, one slice of a request each.

The event loop only hands out the slices, so that no search delays another request. The queries of
a request whose client has gone are not answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shelfmark.search.query.search_query import SearchQuery
from shelfmark.service.limits.fair_queue import FairQueue
from shelfmark.service.limits.memory import MemoryShare
from shelfmark.service.limits.pending import PendingRequest
from shelfmark.service.messages import InvalidFieldError
from shelfmark.service.search.embed_messages import EmbedQuery
from shelfmark.service.search.served import ServedIndex

# Microseconds of one core, about: of a search among half a million papers, of a static encoder.
SEARCH, RESULT, EXPLANATION, CHARACTER = 8000, 20, 50, 0.5
EMBEDDING = 500
SLICE_COST = 10_000  # a search has a slice of its own: the threads share those that wait
MOST_THREADS = 8

Query = SearchQuery | EmbedQuery
QueryAnswer = bytes | InvalidFieldError
AnswerQueries = Callable[[Sequence[Any]], list[QueryAnswer]]


def query_cost(query: Query) -> float:
    """Return about how many microseconds of one core a query takes."""
    characters = len(query.title) + len(query.abstract)
    if isinstance(query, EmbedQuery):
        return EMBEDDING + CHARACTER * characters
    results = query.k * (RESULT + EXPLANATION * query.explain)
    return SEARCH + CHARACTER * (characters + len(query.text)) + results


class PendingQueries(PendingRequest[Query, QueryAnswer, list[QueryAnswer]]):
    """A request, and what answers its queries.

    Args:
        queries: of the request.
        memory: the request's share of the memory.
        future: gets the answers.
        answer: answers queries, in a thread.
        index: that stays open until the request has ended, and no thread answers a slice of it.
    """

    def __init__(
        self,
        queries: Sequence[Query],
        memory: MemoryShare,
        future: asyncio.Future[list[QueryAnswer]],
        answer: AnswerQueries,
        index: ServedIndex | None,
    ) -> None:
        super().__init__(queries, memory, future)
        self._answer: AnswerQueries | None = answer
        self._index = index
        self._uses = 0

    def answer(self, queries: Sequence[Query]) -> list[QueryAnswer]:
        """Answer queries of the request."""
        assert self._answer is not None
        return self._answer(queries)

    def acquire(self) -> None:
        """Keep the index open."""
        self._uses += 1
        if self._uses == 1 and self._index is not None:
            self._index.acquire()

    def release(self) -> None:
        """End a use; the last one lets the index be closed, and forgets it."""
        self._uses -= 1
        if not self._uses:
            index, self._index, self._answer = self._index, None, None
            if index is not None:
                index.release()

    def _result(self) -> list[QueryAnswer]:
        return self.answers

    @staticmethod
    def _count_bytes(answer: QueryAnswer) -> int:
        return len(answer) if isinstance(answer, bytes) else 0


Slice = list[tuple[PendingQueries, Sequence[Query]]]


class SearchTurns:
    """Answers searches and embeddings in threads.

    Args:
        threads: how many.
    """

    def __init__(self, threads: int) -> None:
        self._threads = min(max(threads, 1), MOST_THREADS)
        self._queue: FairQueue[Query, PendingQueries] = FairQueue(query_cost, SLICE_COST, type)
        self._pool = ThreadPoolExecutor(self._threads, "search")
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(
        self,
        queries: Sequence[Query],
        memory: MemoryShare,
        answer: AnswerQueries,
        index: ServedIndex | None = None,
    ) -> asyncio.Future[list[QueryAnswer]]:
        """Return the future of the answers, in the order of the queries.

        Once the future is done, for example cancelled, no further query of the request is answered.

        Args:
            queries: of one request.
            memory: the request's share of the memory, which grows with its answers.
            answer: answers queries; called in a thread.
            index: that is kept open meanwhile.
        """
        future: asyncio.Future[list[QueryAnswer]] = asyncio.get_running_loop().create_future()
        if not queries:
            future.set_result([])
            return future
        request = PendingQueries(queries, memory, future, answer, index)
        request.acquire()
        self._queue.add(request)
        future.add_done_callback(lambda _: self._end(request))
        # A task that has ended may still be among them: it would not see this request.
        if sum(not task.done() for task in self._tasks) < self._threads:
            task = asyncio.create_task(self._answer_waiting())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return future

    async def aclose(self) -> None:
        """Wait for the slices in progress."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    def _end(self, request: PendingQueries) -> None:
        self._queue.remove(request)
        request.release()

    async def _answer_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while part := self._queue.next_slice():
            for request, _ in part:
                request.acquire()
            try:
                outcomes = await loop.run_in_executor(self._pool, _answer_slice, part)
            finally:
                for request, _ in part:
                    request.release()
            for (request, _), outcome in zip(part, outcomes, strict=True):
                request.take(outcome)


def _answer_slice(part: Slice) -> list[list[QueryAnswer] | Exception]:
    """Answer the queries of each request alone, so that none fails for another."""
    outcomes: list[list[QueryAnswer] | Exception] = []
    for request, queries in part:
        try:
            outcomes.append(request.answer(queries))
        except Exception as error:
            outcomes.append(error)
    return outcomes
