"""The key that a load test sends to a running service."""

from __future__ import annotations

import pytest

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import servers


@pytest.mark.parametrize("key", ["short", "é" * 20])
def test_a_key_that_no_service_accepts_is_refused_before_it_is_sent(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELFMARK_API_KEY", key)
    with pytest.raises(ShelfmarkError, match="^SHELFMARK_API_KEY: a key has ") as raised:
        servers.describe_unready("http://127.0.0.1:9")
    assert key not in str(raised.value)


def test_an_empty_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFMARK_API_KEY", " ")
    assert "refused" in servers.describe_unready("http://127.0.0.1:9").lower()
