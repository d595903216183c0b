"""Small indexes with an encoder of hashed words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import hashed_encoder, indexes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder with an encoder `hashed`; the indexes opened in it are closed at the end."""
    hashed_encoder.register(monkeypatch)
    indexes.save_encoder(tmp_path)
    yield tmp_path
    indexes.close_all()
