"""The origin of a record: the command line, as a user types it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import pytest

from shelfmark.core import project, provenance

PROGRAMS = [
    ("/somewhere/.venv/bin/inv", "inv"),
    ("inv.exe", "inv"),
    ("/somewhere/site-packages/invoke/__main__.py", "inv"),
    ("/somewhere/.venv/bin/shelfmark", "shelfmark"),
    ("shelfmark.exe", "shelfmark"),
    ("/somewhere/shelfmark/cli/__main__.py", "shelfmark"),
    ("/somewhere/shelfmark/service/monitor.py", "python -m shelfmark.service.monitor"),
    ("/somewhere/bin/pytest", None),
    ("", None),
]


@pytest.mark.parametrize(("program", "start"), PROGRAMS)
@pytest.mark.parametrize("checkout", [Path("/somewhere"), None])
def test_the_command_that_runs(
    program: str, start: str | None, checkout: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "checkout", lambda: checkout)
    monkeypatch.setattr(sys, "argv", [program, "train", "data.labels=[cs.AI,cs.CL]", "a b"])
    prefix = "uv run " if checkout else ""
    expected = f"{prefix}{start} train 'data.labels=[cs.AI,cs.CL]' 'a b'" if start else None
    assert provenance.command() == expected


def test_no_password_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["inv", "load-test", "--url", "https://me:secret@host:8000/at@home"]
    monkeypatch.setattr(sys, "argv", words)
    line = provenance.command()
    assert line is not None
    assert "secret" not in line
    assert "@host:8000/at@home" in line


def test_a_stamp_has_the_hour() -> None:
    made = provenance.stamp()["created"]
    assert made is not None
    assert datetime.fromisoformat(made).utcoffset() is not None
