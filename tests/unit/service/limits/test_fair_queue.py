"""The turns of requests at the model."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

from shelfmark.models.answers import PaperQuery
from shelfmark.models.protocol import ReadingCost
from shelfmark.service.limits import cost as costs
from shelfmark.service.limits.fair_queue import MOST_OUTDATED, FairQueue, Ticket

BUDGET = 10
Queue = FairQueue[PaperQuery, Ticket[PaperQuery]]


def cost(query: PaperQuery) -> float:
    return len(query.abstract)


def make_queue() -> Queue:
    return FairQueue(cost, BUDGET, lambda query: query.explain)


def ticket(*costs: int, explain: bool = False) -> Ticket[PaperQuery]:
    return Ticket([PaperQuery("", "x" * size, explain=explain) for size in costs], lambda: False)


def drain(queue: Queue) -> list[list[tuple[Ticket[PaperQuery], int]]]:
    slices = []
    while slice_ := queue.next_slice():
        slices.append([(ticket, len(queries)) for ticket, queries in slice_])
    return slices


def spent(slice_: Sequence[tuple[Ticket[PaperQuery], Sequence[PaperQuery]]]) -> float:
    return sum(cost(query) for _, queries in slice_ for query in queries)


def test_every_query_is_handed_out_once_in_the_order_of_its_request() -> None:
    queue: Queue = make_queue()
    tickets = [ticket(3, 1, 4, 1, 5, 9, 2, 6), ticket(5, 3), ticket(5, 8, 9, 7, 9, explain=True)]
    for one in tickets:
        queue.add(one)
    given: dict[Ticket[PaperQuery], list[PaperQuery]] = {one: [] for one in tickets}
    while slice_ := queue.next_slice():
        assert spent(slice_) <= BUDGET
        assert len({query.explain for _, queries in slice_ for query in queries}) == 1
        for one, queries in slice_:
            given[one] += queries
    assert all(given[one] == one.queries for one in tickets)


def test_a_query_over_the_budget_has_a_slice_of_its_own() -> None:
    queue: Queue = make_queue()
    large = ticket(50, 1)
    queue.add(large)
    assert drain(queue) == [[(large, 1)], [(large, 1)]]


def test_a_small_request_overtakes_the_rest_of_large_ones() -> None:
    queue: Queue = make_queue()
    large = [ticket(*[5] * 100, explain=True) for _ in range(10)]
    for one in large:
        queue.add(one)
    queue.next_slice()
    for _ in range(20):
        small = ticket(1)
        queue.add(small)
        turns = [[one for one, _ in queue.next_slice()] for _ in range(2)]
        assert small in turns[0] + turns[1], "at most the turn of the oldest is before it"


def test_a_large_request_ends_while_small_ones_keep_coming() -> None:
    queue: Queue = make_queue()
    large = ticket(*[BUDGET] * 30)
    queue.add(large)
    slices = 0
    while large.waits():
        queue.add(ticket(BUDGET))
        queue.next_slice()
        slices += 1
    assert slices <= 4 * 30


def test_large_requests_share_the_work_equally() -> None:
    queue: Queue = make_queue()
    many = [ticket(*[BUDGET] * 100) for _ in range(4)]
    for one in many:
        queue.add(one)
    for _ in range(80):
        queue.next_slice()
    others = [one.taken for one in many[1:]]
    assert max(others) - min(others) <= 1
    assert min(others) >= 10


def test_nothing_is_computed_for_an_abandoned_request() -> None:
    queue: Queue = make_queue()
    abandoned = False
    large = Ticket([PaperQuery("", "x" * BUDGET)] * 9, lambda: abandoned)
    small = ticket(1)
    queue.add(large)
    queue.next_slice()
    abandoned = True
    queue.add(small)
    assert drain(queue) == [[(small, 1)]]


def test_a_removed_request_leaves_no_text_behind() -> None:
    queue: Queue = make_queue()
    large = ticket(*[BUDGET] * 9)
    queue.add(large)
    queue.next_slice()
    queue.remove(large)
    assert len(large.queries) == 0
    assert drain(queue) == []


def test_requests_that_have_ended_are_forgotten_while_others_always_wait() -> None:
    queue = make_queue()
    waiting = [ticket(*[4] * 8) for _ in range(4)]
    for one in waiting:
        queue.add(one)
    ended: list[weakref.ref[Ticket[PaperQuery]]] = []
    for _ in range(3000):
        for one, _queries in queue.next_slice():
            if one.taken == len(one.queries):
                waiting.remove(one)
                ended.append(weakref.ref(one))
                queue.remove(one)
                waiting.append(ticket(*[4] * 8))
                queue.add(waiting[-1])
    del one, _queries
    gc.collect()
    assert len(ended) > 500
    assert sum(reference() is not None for reference in ended) <= MOST_OUTDATED + len(waiting)


def test_characters_ranks_and_explanations_cost() -> None:
    reading = ReadingCost(150, 0.1, explanation=6000, explained_character=1.5)

    def query_cost(query: PaperQuery) -> float:
        return costs.query_cost(query, reading)

    plain = query_cost(PaperQuery("", "x" * 1000))
    assert query_cost(PaperQuery("x" * 1000, "x" * 1000)) > plain
    assert query_cost(PaperQuery("", "\U0001f600" * 1000)) > plain
    assert query_cost(PaperQuery("", "x" * 1000, top_k=200)) > plain
    assert query_cost(PaperQuery("", "x" * 1000, primary="cs.LG")) > plain
    assert query_cost(PaperQuery("", "x" * 1000, explain=True)) > 10 * plain


def test_what_a_model_does_not_read_costs_nothing_more() -> None:
    short, long = (PaperQuery("", "x" * length, explain=True) for length in (512, 4000))
    reading = ReadingCost(500, 20, most_characters=512, explained_character=300)
    assert costs.query_cost(short, reading) == costs.query_cost(long, reading)
    both = reading + ReadingCost(150, 0.1)
    assert costs.query_cost(short, both) > costs.query_cost(short, reading)
    assert both.of(512, False) == both.of(4000, False)
