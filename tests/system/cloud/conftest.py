"""A stand-in for Google, which the requests of a test reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shelfmark.cloud import rest
from tests.support.vertex_server import Google, running


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with running() as google:
        monkeypatch.setenv(rest.ENDPOINT, google.url)
        yield google
