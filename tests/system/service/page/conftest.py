"""The page in a real browser, before a real server process."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import Open, open_page, run_browser
from tests.support.library import make_library, wait_until_searchable
from tests.support.moments import PATIENCE
from tests.support.serving import free_port, start, wait_until_ready


@contextmanager
def serving(home: Path, **env: str) -> Iterator[str]:
    port = free_port()
    process = start(home, port, **env)
    address = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=address) as client:
            wait_until_ready(process, client)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="session")
def address(home: Path) -> Iterator[str]:
    with serving(home) as address:
        yield address


@pytest.fixture(scope="module")
def locked(home: Path) -> Iterator[str]:
    with serving(home, SHELFMARK_API_KEY="api-key-of-tests") as address:
        yield address


@pytest.fixture(scope="session")
def library(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model, an encoder, and an index of papers with its landscape."""
    folder = tmp_path_factory.mktemp("library")
    make_library(folder, home / "models")
    return folder


@contextmanager
def serving_index(library: Path, **env: str) -> Iterator[str]:
    with serving(library, **env) as address, httpx.Client(base_url=address) as client:
        wait_until_searchable(client)
        yield address


@pytest.fixture(scope="session")
def searching(library: Path) -> Iterator[str]:
    """The address of a service with an index."""
    with serving_index(library) as address:
        yield address


@pytest.fixture(scope="module")
def locked_search(library: Path) -> Iterator[str]:
    with serving_index(library, SHELFMARK_API_KEY="api-key-of-tests") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as browser:
        yield browser


@pytest.fixture
def faults() -> list[str]:
    """What went wrong in the browser; a test that means to be refused empties it."""
    return []


@pytest.fixture
def visit(browser: Browser, address: str, faults: list[str]) -> Iterator[Open]:
    """Opens the page; in the end there is no fault, and no request went elsewhere."""
    requests: list[str] = []
    contexts = []

    def opened(address: str = address, width: int = 1280, **options: Any) -> Page:
        viewport = {"width": width, "height": 800}
        page = open_page(browser, viewport=viewport, **options)
        contexts.append(page.context)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda line: faults.append(line.text) if line.type in ("error", "warning") else None,
        )
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
    assert requests
    assert [url for url in requests if not re.match(r"(blob:)?http://127\.0\.0\.1:", url)] == []


@pytest.fixture
def page(visit: Open) -> Page:
    return visit()
