"""A request whose queries are answered in slices, each as its turn comes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from shelfmark.service.limits.bodies import NO_MEMORY, RETRY
from shelfmark.service.limits.fair_queue import Query, Ticket
from shelfmark.service.limits.memory import MemoryShare
from shelfmark.service.responses import RefusedError

Answer = TypeVar("Answer")
Result = TypeVar("Result")


class PendingRequest(Ticket[Query], ABC, Generic[Query, Answer, Result]):
    """A request, and the answers so far.

    Args:
        queries: of the request.
        memory: the request's share of the memory, which the answers occupy too.
        future: gets the result.
    """

    def __init__(
        self, queries: Sequence[Query], memory: MemoryShare, future: asyncio.Future[Result]
    ) -> None:
        super().__init__(queries, future.done)
        self.future = future
        self._memory = memory
        self.answers: list[Answer] = []

    def take(self, outcome: Sequence[Answer] | Exception) -> None:
        """Add the answers of a slice; the last ones, or an error, end the request."""
        if self.future.done():  # the request has ended meanwhile
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
            return
        if not self._memory.try_grow(sum(map(self._count_bytes, outcome))):
            self.future.set_exception(RefusedError(503, NO_MEMORY, RETRY))
            return
        self.answers += outcome
        if len(self.answers) == len(self.queries):
            self.future.set_result(self._result())

    @abstractmethod
    def _result(self) -> Result:
        """Return the result of the request, all of whose queries are answered."""

    @staticmethod
    @abstractmethod
    def _count_bytes(answer: Answer) -> int:
        """Return the bytes that an answer occupies."""
