"""The service as a process, and within the process of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from shelfmark.service.app import create_app
from shelfmark.service.settings import Settings
from tests.support.library import make_library, wait_until_searchable
from tests.support.serving import running


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[httpx.Client]:
    """One server process for all tests that need nothing else of it."""
    with running(home, SHELFMARK_ADMIN_KEY="admin-key-of-tests") as client:
        yield client


@pytest.fixture(scope="session")
def searchable(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server process with an index of papers, its encoder and its landscape."""
    folder = tmp_path_factory.mktemp("library")
    make_library(folder, home / "models")
    with running(folder, SHELFMARK_ADMIN_KEY="admin-key-of-tests") as client:
        wait_until_searchable(client)
        yield client


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    chosen = Settings(
        models=str(home / "models"), model="quick", admin_key=SecretStr("admin-key-of-tests")
    )
    with TestClient(create_app(chosen), raise_server_exceptions=False) as client:
        yield client
