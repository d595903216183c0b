"""The service on a real socket within the test's own process, so that a test can hold its model."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import httpx2 as httpx
import pytest
import uvicorn

from shelfmark.models.answers import Answer, PaperQuery, answer_queries
from shelfmark.models.artifact import Model
from shelfmark.service import batching
from shelfmark.service.app import create_app
from shelfmark.service.protocol.http import LimitedHttpProtocol
from shelfmark.service.settings import Settings
from tests.support.moments import PATIENCE, until


@contextlib.contextmanager
def threaded_service(settings: Settings) -> Iterator[httpx.Client]:
    """Serve from a thread while the block runs."""
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=0, loop="asyncio", http=LimitedHttpProtocol,
        log_config=None, access_log=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


class HeldModel:
    """Stands in for `answer_queries`: it answers only what the test has released, in the thread.

    `batches` has the queries of each call, and `poison` is a text that no model can read.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, poison: str = "") -> None:
        self.called = threading.Event()
        self.batches: list[list[PaperQuery]] = []
        self._poison = poison
        self._released = threading.Semaphore(0)
        self._all_released = False
        monkeypatch.setattr(batching, "answer_queries", self._answer_queries)
        monkeypatch.setattr(batching, "LOOP_COST", 0)

    def wait_until_called(self) -> None:
        assert self.called.wait(PATIENCE)

    def wait_for_batch(self, number: int) -> list[PaperQuery]:
        """Return the queries of a call, from 1, once the model has been called so often."""
        until(lambda: len(self.batches) >= number)
        return self.batches[number - 1]

    def release_one(self) -> None:
        """Answer one call."""
        self._released.release()

    def release(self) -> None:
        """Answer all calls."""
        self._all_released = True
        self._released.release()

    def _answer_queries(self, model: Model, queries: list[PaperQuery]) -> list[Answer]:
        self.batches.append(queries)
        self.called.set()
        if not self._all_released:
            assert self._released.acquire(timeout=PATIENCE)
        if self._poison and any(query.abstract == self._poison for query in queries):
            raise ValueError(self._poison)
        return answer_queries(model, queries)
