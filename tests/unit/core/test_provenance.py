"""Where a record came from: the command line, as one types it."""

from __future__ import annotations

import sys
from datetime import datetime

import pytest

from shelfmark.core import provenance


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("/somewhere/.venv/bin/inv", "uv run inv"),
        ("inv.exe", "uv run inv"),
        ("/somewhere/site-packages/invoke/__main__.py", "uv run inv"),
        ("/somewhere/shelfmark/cloud/job.py", "uv run python -m shelfmark.cloud.job"),
        ("/somewhere/bin/pytest", None),
        ("", None),
    ],
)
def test_the_command_that_runs(
    program: str, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "train", "data.labels=[cs.AI,cs.CL]", "a b"])
    expected = f"{told} train 'data.labels=[cs.AI,cs.CL]' 'a b'" if told else None
    assert provenance.command() == expected


def test_no_password_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["inv", "load-test", "--url", "https://me:secret@host:8000/at@home"]
    monkeypatch.setattr(sys, "argv", words)
    told = provenance.command()
    assert told is not None
    assert "secret" not in told
    assert "@host:8000/at@home" in told


def test_a_stamp_has_the_hour() -> None:
    made = provenance.stamp()["created"]
    assert made is not None
    assert datetime.fromisoformat(made).utcoffset() is not None
