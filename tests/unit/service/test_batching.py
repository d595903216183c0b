"""Where a slice is predicted: by the event loop if it is small and the model is free."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import orjson
import pytest

from shelfmark.models.answers import Answer, PaperQuery, answer_queries
from shelfmark.models.artifact import Model
from shelfmark.service import batching
from shelfmark.service.batching import BatchAnswer, Batcher
from shelfmark.service.limits import cost
from shelfmark.service.limits.memory import MemoryBudget
from tests.support.moments import PATIENCE
from tests.support.serving import ROBOT

SMALL = PaperQuery("", ROBOT)
LONG = PaperQuery("", ROBOT * 800)
EXPLAINED = PaperQuery("", ROBOT, explain=True)
Calls = list[tuple[int, Sequence[PaperQuery]]]  # the thread and the queries of each


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The calls of the model."""
    made: Calls = []

    def record(model: Model, queries: Sequence[PaperQuery]) -> list[Answer]:
        made.append((threading.get_ident(), queries))
        return answer_queries(model, queries)

    monkeypatch.setattr(batching, "answer_queries", record)
    monkeypatch.setattr(cost, "SLICE", 0)  # as of a model that answers at once
    return made


def submit(batcher: Batcher, *queries: PaperQuery) -> asyncio.Future[BatchAnswer]:
    return batcher.submit(queries, MemoryBudget(1 << 20).share(lambda: None))


@pytest.mark.parametrize(
    ("query", "on_the_loop"), [(SMALL, True), (LONG, False), (EXPLAINED, False)]
)
def test_the_event_loop_predicts_small_slices_itself(
    model: Model, calls: Calls, query: PaperQuery, on_the_loop: bool
) -> None:
    async def run() -> None:
        batcher = Batcher(lambda: model)
        _, [encoded] = await submit(batcher, query)
        await batcher.aclose()
        assert encoded.json == orjson.dumps(answer_queries(model, [query])[0].to_json())

    asyncio.run(run())
    [(thread, _)] = calls
    assert (thread == threading.get_ident()) == on_the_loop


def test_requests_that_arrive_together_are_one_batch(model: Model, calls: Calls) -> None:
    async def run() -> None:
        batcher = Batcher(lambda: model)
        await asyncio.gather(*(submit(batcher, SMALL) for _ in range(60)))
        await asyncio.gather(submit(batcher, SMALL), submit(batcher, EXPLAINED))
        await batcher.aclose()

    asyncio.run(run())
    assert [len(queries) for _, queries in calls] == [60, 1, 1]
    many, small, explained = [thread == threading.get_ident() for thread, _ in calls]
    assert (many, small, explained) == (False, True, False)


def test_a_slice_waits_for_what_runs_between_two(model: Model, calls: Calls) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert leave.wait(PATIENCE)

    async def run() -> None:
        batcher = Batcher(lambda: model)
        between = asyncio.create_task(asyncio.to_thread(batcher.run_between, hold))
        assert await asyncio.to_thread(entered.wait, PATIENCE)
        waiting = submit(batcher, SMALL)
        await asyncio.sleep(0.01)
        assert not calls
        leave.set()
        await asyncio.gather(waiting, between)
        await batcher.aclose()

    asyncio.run(run())
    assert len(calls) == 1


def test_a_request_of_many_small_slices_ends(model: Model, calls: Calls) -> None:
    async def run() -> None:
        batcher = Batcher(lambda: model)
        _, answers = await submit(batcher, *[SMALL] * 100)
        assert len(answers) == 100
        await submit(batcher, SMALL)
        await batcher.aclose()

    asyncio.run(run())
    assert len(calls) > 2
    assert calls[-1][0] == threading.get_ident(), "the loop predicts again once the thread is done"
