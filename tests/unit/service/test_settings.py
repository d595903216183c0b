"""The settings: their errors, and their table in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shelfmark.core import environment
from shelfmark.errors import ShelfmarkError
from shelfmark.service.server import read_settings, serve
from shelfmark.service.settings import MonitorSettings, Settings, settings_table
from tests.conftest import ROOT
from tests.support.serving import free_port

VARIABLES = {
    MonitorSettings.variable(name): name
    for name, field in MonitorSettings.model_fields.items()
    if field.description
}


def test_a_start_without_a_model_names_the_command_that_trains_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ShelfmarkError) as error:
        serve("127.0.0.1", free_port())
    assert str(error.value) == "no model in models/latest: train one with shelfmark train"


@pytest.mark.parametrize("value", ["", "  ", "\n"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_an_empty_variable_is_unset(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    settings = read_settings(MonitorSettings)
    assert settings == MonitorSettings()
    name = VARIABLES[variable]
    assert getattr(settings, name) == MonitorSettings.model_fields[name].default


LIST = 'give a JSON list, ["https://a.org"]'


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("PORT", "abc", "PORT: 'abc' should be a whole number, such as 8000"),
        ("PORT", "70000", "PORT: '70000' should be at most 65535, such as 8000"),
        ("PORT", "80.5", "PORT: '80.5' should be a whole number"),
        ("SHELFMARK_WORKERS", "x", "SHELFMARK_WORKERS: 'x' should be a whole number, such as 1"),
        ("SHELFMARK_WORKERS", "0", "SHELFMARK_WORKERS: '0' should be at least 1"),
        ("SHELFMARK_MAX_PAPERS", "many", "SHELFMARK_MAX_PAPERS: 'many' should be a whole number"),
        ("SHELFMARK_REQUEST_SECONDS", "x", "SHELFMARK_REQUEST_SECONDS: 'x' should be a number"),
        ("SHELFMARK_SHUTDOWN_SECONDS", f"1{22 * '0'}", "should be at most 86400, such as 8"),
        ("SHELFMARK_REQUEST_SECONDS", "0", "SHELFMARK_REQUEST_SECONDS: '0' should be greater than"),
        ("SHELFMARK_REQUEST_SECONDS", "nan", "SHELFMARK_REQUEST_SECONDS: 'nan' should be a finite"),
        ("SHELFMARK_REQUEST_SECONDS", "inf", "SHELFMARK_REQUEST_SECONDS: 'inf' should be a finite"),
        ("SHELFMARK_LOG_TEXTS", "maybe", "SHELFMARK_LOG_TEXTS: 'maybe' should be true or false"),
        ("SHELFMARK_MODEL", "a/b", "SHELFMARK_MODEL: 'a/b' should be a name of letters, digits"),
        ("SHELFMARK_CORS_ORIGINS", "[", f"SHELFMARK_CORS_ORIGINS: '[' should be a list; {LIST}"),
        ("SHELFMARK_CORS_ORIGINS", "{}", f"SHELFMARK_CORS_ORIGINS: should be a list; {LIST}"),
        ("SHELFMARK_CORS_ORIGINS", "[3]", f"SHELFMARK_CORS_ORIGINS: should be text; {LIST}"),
        ("SHELFMARK_CORS_ORIGINS", "a.org", "SHELFMARK_CORS_ORIGINS: 'a.org' is no origin: scheme"),
        ("SHELFMARK_CORS_ORIGINS", '["https://a.org/"]', "'https://a.org/' is no origin: scheme,"),
        ("SHELFMARK_CORS_ORIGINS", "https://a.org/x", "'https://a.org/x' is no origin: scheme"),
        ("SHELFMARK_CORS_ORIGINS", "https://é.org", "no origin"),
        ("SHELFMARK_CORS_ORIGINS", "https://u@a.org", "no origin"),
        ("SHELFMARK_CORS_ORIGINS", "https://a.org:65536", "no origin"),
        ("SHELFMARK_CORS_ORIGINS", "*,https://a.org", "_ORIGINS: * allows every origin"),
        ("SHELFMARK_SINCE", "yesterday", "SHELFMARK_SINCE: 'yesterday' should be a span or a day"),
        ("SHELFMARK_EVERY_SECONDS", "day", "'day' should be a number, such as 3600"),
        ("SHELFMARK_EVERY_SECONDS", "0", "SHELFMARK_EVERY_SECONDS: '0' should be greater than 0"),
    ],
)  # fmt: skip
def test_an_invalid_variable_is_named_and_a_right_form_is_shown(
    variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ShelfmarkError, match=f"^{variable}: ") as error:
        read_settings(MonitorSettings)
    assert line in str(error.value)


@pytest.mark.parametrize("name", ["SHELFMARK_API_KEY", "SHELFMARK_ADMIN_KEY"])
@pytest.mark.parametrize("key", ["x7", "fifteen letters", "  short key of 4\n"[:14], "clé" * 9])
def test_a_weak_key_is_refused_and_not_shown(
    name: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, key)
    with pytest.raises(ShelfmarkError, match=f"^{name}: a key has ") as error:
        read_settings(Settings)
    assert key.strip() not in str(error.value)
    with pytest.raises(ValueError, match="a key has") as raised:
        Settings()
    assert key.strip() not in str(raised.value)


def test_an_invalid_option_is_named_as_it_was_typed() -> None:
    with pytest.raises(ShelfmarkError, match="^--model: 'a/b' should be a name of letters"):
        serve("127.0.0.1", free_port(), model="a/b")
    with pytest.raises(ShelfmarkError, match="^--workers: '999' should be at most 256"):
        serve("127.0.0.1", free_port(), workers=999)


def test_the_line_end_of_a_secret_file_is_no_part_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELFMARK_ADMIN_KEY", " sixteen letters.\n")
    admin_key = read_settings(Settings).admin_key
    assert admin_key is not None
    assert admin_key.get_secret_value() == "sixteen letters."


@pytest.mark.parametrize("empty", ["shelfmark_api_key", "Shelfmark_Api_Key"])
def test_an_empty_spelling_of_a_key_does_not_hide_another(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELFMARK_API_KEY", "sixteen letters.")
    monkeypatch.setenv(empty, "")
    environment.drop_blank()
    assert read_settings(Settings).api_key is not None


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ('["https://a.org"]', ["https://a.org"]),
        ('"https://a.org"', ["https://a.org"]),
        ("https://a.org", ["https://a.org"]),
        ("https://a.org, http://b.org:8080,", ["https://a.org", "http://b.org:8080"]),
        ("HTTPS://A.org:443", ["https://a.org"]),
        ("http://a.org:80,http://a.org:8080", ["http://a.org", "http://a.org:8080"]),
        ("http://[::1]:3000", ["http://[::1]:3000"]),
        ("https://a.org:0443,http://a.org:08080", ["https://a.org", "http://a.org:8080"]),
        ('["*"]', ["*"]),
        ("*", ["*"]),
        ("[]", []),
    ],
)
def test_origins_are_read_as_browsers_send_them(
    value: str, origins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELFMARK_CORS_ORIGINS", value)
    assert read_settings(Settings).cors_origins == origins


def test_a_mistyped_variable_is_warned_of(monkeypatch: pytest.MonkeyPatch, log: Any) -> None:
    monkeypatch.setenv("SHELFMARK_ADMIN_KYE", "sixteen letters.")
    monkeypatch.setenv("SHELFMARK_SINCE", "1d")  # of the monitor
    read_settings(Settings)
    warnings = [line for line in log().splitlines() if line.startswith("WARNING")]
    name, meant = "SHELFMARK_ADMIN_KYE", "SHELFMARK_ADMIN_KEY"
    line = f"WARNING {name}: no such variable, it is ignored; did you mean {meant}?"
    assert warnings == [line]
    assert "sixteen" not in log()


def test_every_setting_is_documented() -> None:
    table = settings_table()
    for name in Settings.model_fields:
        if name not in ("port", "runtime"):
            assert f"`SHELFMARK_{name.upper()}`" in table
    assert "`PORT`" in table
    assert table in (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    assert settings_table(MonitorSettings) in (ROOT / "docs" / "drift.md").read_text(
        encoding="utf-8"
    )


def test_a_model_name_is_never_a_path() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Settings(model="../elsewhere")
