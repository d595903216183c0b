"""Encoders of the hashed family, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shelfmark.embeddings.locate import LocatedEncoder, locate_encoder
from tests.support import hashed_encoder
from tests.support.tables import papers


@pytest.fixture(scope="module")
def _hashed_family() -> Iterator[None]:
    monkeypatch = pytest.MonkeyPatch()
    hashed_encoder.register(monkeypatch)
    yield
    monkeypatch.undo()


@pytest.fixture(scope="module")
def hashed(_hashed_family: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an encoder fitted on papers of the sample; vectors are cut to 16 or 32."""
    encoders = tmp_path_factory.mktemp("home") / "encoders"
    texts = papers(200)["text"].to_pylist()
    return hashed_encoder.save_encoder(encoders, texts, sizes=[16, 32])


@pytest.fixture(scope="module")
def located(hashed: Path) -> LocatedEncoder:
    with locate_encoder(str(hashed)) as located:
        return located
