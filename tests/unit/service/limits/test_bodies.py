"""The framing of bodies, and the memory that a refused one leaves."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from starlette.types import Message

from shelfmark.service.limits.bodies import check_framing, read_body
from shelfmark.service.limits.headers import RequestHeaders
from shelfmark.service.limits.memory import MemoryBudget
from shelfmark.service.responses import RefusedError

LENGTH, CODING = (b"content-length", b"5"), (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    ("headers", "version"),
    [([LENGTH, CODING], "1.1"), ([CODING, LENGTH], "1.1"), ([LENGTH, LENGTH], "1.1"),
     ([CODING], "1.0")],
)  # fmt: skip
def test_a_body_with_two_lengths_is_refused(
    headers: list[tuple[bytes, bytes]], version: str
) -> None:
    with pytest.raises(RefusedError) as error:
        check_framing(RequestHeaders(headers), version)
    assert error.value.response.status_code == 400


@pytest.mark.parametrize("headers", [[], [LENGTH], [CODING]])
def test_a_body_with_one_length_is_accepted(headers: list[tuple[bytes, bytes]]) -> None:
    check_framing(RequestHeaders(headers), "1.1")


@pytest.mark.parametrize(("limit", "budget"), [(900_000, 8 << 20), (8 << 20, 900_000)])
def test_a_refused_body_is_not_kept_while_its_client_reads_the_refusal(
    limit: int, budget: int
) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": bytes(1 << 16), "more_body": True}

    memory = MemoryBudget(budget)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with pytest.raises(RefusedError) as error:
            asyncio.run(read_body(receive, limit, memory))
        kept = tracemalloc.get_traced_memory()[0] - before
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert error.value.response.status_code in (413, 503)
    assert memory.used == 0
    assert peak > 800_000
    assert kept < 400_000  # the last piece and the error itself
