"""The service on a real socket within the test's own process, so that a test can hold its model."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn

from shelfmark.models.answers import answer_queries
from shelfmark.service import batching
from shelfmark.service.app import create_app
from shelfmark.service.http_protocol import LimitedH11Protocol
from shelfmark.service.settings import Settings
from tests.support.moments import PATIENCE, until


@contextlib.contextmanager
def threaded_service(settings: Settings) -> Iterator[httpx.Client]:
    """Serve from a thread while the block runs."""
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=0, loop="asyncio", http=LimitedH11Protocol,
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
    """Stands in for `answer_queries`: it answers only after the test has released it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called = threading.Event()
        self._released = threading.Event()
        monkeypatch.setattr(batching, "answer_queries", self._answer_queries)

    def wait_until_called(self) -> None:
        assert self.called.wait(PATIENCE)

    def release(self) -> None:
        self._released.set()

    def _answer_queries(self, *arguments: Any) -> Any:
        self.called.set()
        assert self._released.wait(PATIENCE)
        return answer_queries(*arguments)
