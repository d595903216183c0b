"""Requests that come as others end are answered too."""

from __future__ import annotations

import asyncio

from shelfmark.search.query.search_query import SearchQuery
from shelfmark.service.limits.memory import MemoryBudget
from shelfmark.service.search.turns import SearchTurns
from tests.support.moments import PATIENCE


def test_a_request_that_comes_as_the_one_before_ends_is_answered() -> None:
    async def ask_twice() -> list[list[object]]:
        turns = SearchTurns(1)
        answers: list[list[object]] = []
        for text in ("one", "two"):
            share = MemoryBudget(1000).share(lambda: None)
            future = turns.submit(
                [SearchQuery(text)], share, lambda queries: [one.text.encode() for one in queries]
            )
            answers.append([*await future])
        await turns.aclose()
        return answers

    assert asyncio.run(asyncio.wait_for(ask_twice(), PATIENCE)) == [[b"one"], [b"two"]]
