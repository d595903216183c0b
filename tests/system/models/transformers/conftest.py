"""Fixtures of the tests of transformers: splits of synthetic papers, a folder for each module."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from tests.support.transformers import settings_in


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all files of a module."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def splits(home: Path) -> Splits:
    """The splits of the papers."""
    return prepare_splits(settings_in(home))
