"""The settings: their errors, and their table in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfmark.errors import ShelfmarkError
from shelfmark.service.server import serve
from shelfmark.service.settings import Settings, settings_table
from tests.conftest import ROOT
from tests.support.serving import free_port


def test_a_start_without_a_model_names_the_command_that_trains_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ShelfmarkError) as error:
        serve("127.0.0.1", free_port())
    assert str(error.value) == "no model in models/latest: train one with shelfmark train"


def test_an_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFMARK_MAX_PAPERS", "many")
    with pytest.raises(ShelfmarkError, match="^SHELFMARK_MAX_PAPERS: Input should be"):
        serve("127.0.0.1")


def test_every_setting_is_documented() -> None:
    table = settings_table()
    for name in Settings.model_fields:
        if name not in ("port", "runtime"):
            assert f"`SHELFMARK_{name.upper()}`" in table
    assert "`PORT`" in table
    assert table in (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


def test_a_model_name_is_never_a_path() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Settings(model="../elsewhere")
