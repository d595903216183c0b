"""The queue of requests that wait for an answer: each takes its turns, whatever its size.

The request that has got the least work, with its next query, goes first. So a small request
overtakes the rest of a large one, and large ones share the work equally. Each fourth slice belongs
to the oldest request, so that no stream of small ones keeps a large one from its end.

Source: Nuyens and Wierman, The foreground-background queue: a survey, Performance Evaluation 2008.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

Query = TypeVar("Query")
TicketType = TypeVar("TicketType", bound="Ticket[Any]")
OLDEST_TURN = 4  # each fourth slice is for the oldest request
MOST_OUTDATED = 16  # entries of the order that are kept, besides one for each request


class Ticket(Generic[Query]):
    """A request in the queue.

    Args:
        queries: of the request, at least one.
        abandoned: returns whether nobody waits for its answers any more.
    """

    def __init__(self, queries: Sequence[Query], abandoned: Callable[[], bool]) -> None:
        self.queries = queries
        self.abandoned = abandoned
        self.taken = 0  # number of queries that were handed out
        self.work = 0.0  # their cost
        self.cost = 0.0  # of the next query
        self.rank = 0.0  # the work after the next query: the smallest goes first

    def waits(self) -> bool:
        """Return whether queries are left that somebody waits for."""
        return self.taken < len(self.queries) and not self.abandoned()


class FairQueue(Generic[Query, TicketType]):
    """Hands out the queries of all requests in slices of a limited cost.

    Args:
        cost: returns the cost of a query.
        budget: largest cost of a slice, unless a single query costs more.
        kind: returns the kind of a query; a slice has queries of one kind.
    """

    def __init__(
        self,
        cost: Callable[[Query], float],
        budget: float,
        kind: Callable[[Query], object] = lambda query: None,
    ) -> None:
        self._cost = cost
        self._budget = budget
        self._kind = kind
        self._by_work: list[tuple[float, int, TicketType]] = []
        self._by_age: dict[TicketType, None] = {}
        self._order = itertools.count()  # of equal work: first come, first served
        self._slices = 0

    def add(self, ticket: TicketType) -> None:
        """Add a request."""
        self._by_age[ticket] = None
        self._push(ticket)

    def remove(self, ticket: TicketType) -> None:
        """Forget a request and release its texts, whether or not queries of it are left."""
        self._by_age.pop(ticket, None)
        ticket.queries = ()
        # An outdated entry of much work would never come first while others wait, and it keeps the
        # answers of its request.
        if len(self._by_work) > 2 * len(self._by_age) + MOST_OUTDATED:
            self._by_work = [entry for entry in self._by_work if _is_current(entry)]
            heapq.heapify(self._by_work)

    def next_slice(self) -> list[tuple[TicketType, Sequence[Query]]]:
        """Return the queries to answer next, with their requests; none if no request waits."""
        self._slices += 1
        choose = self._oldest if self._slices % OLDEST_TURN == 0 else self._least_work
        counts: dict[TicketType, int] = {}
        spent, kind = 0.0, None
        while (ticket := choose()) is not None:
            query = ticket.queries[ticket.taken]
            cost = ticket.cost
            if counts and (spent + cost > self._budget or self._kind(query) != kind):
                break
            spent, kind = spent + cost, self._kind(query)
            counts[ticket] = counts.get(ticket, 0) + 1
            ticket.taken += 1
            ticket.work += cost
            self._push(ticket)
        return [
            (ticket, ticket.queries[ticket.taken - count : ticket.taken])
            for ticket, count in counts.items()
        ]

    def _push(self, ticket: TicketType) -> None:
        if ticket.taken < len(ticket.queries):
            ticket.cost = self._cost(ticket.queries[ticket.taken])
            ticket.rank = ticket.work + ticket.cost
            heapq.heappush(self._by_work, (ticket.rank, next(self._order), ticket))

    def _least_work(self) -> TicketType | None:
        while self._by_work:
            if _is_current(self._by_work[0]):
                return self._by_work[0][2]
            heapq.heappop(self._by_work)
        return None

    def _oldest(self) -> TicketType | None:
        return next((ticket for ticket in self._by_age if ticket.waits()), None)


def _is_current(entry: tuple[float, int, Ticket[Any]]) -> bool:
    """Return whether the request of an entry waits, and has no later entry."""
    rank, _, ticket = entry
    return ticket.waits() and ticket.rank == rank
