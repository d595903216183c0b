"""Tables on standard output."""

from __future__ import annotations

import pytest

from shelfmark.cli.output import print_table
from shelfmark.core.tables import Table


def test_a_table_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["accuracy", "0.9", ""], ["a [bold]name[/]", "10.25", "x" * 200]]
    print_table(Table(["", "this", "other"], rows, title="of [5] papers", note="a [note]"))
    out, err = capsys.readouterr()
    assert err == ""
    title, *lines, note = out.splitlines()
    assert (title.strip(), note.strip()) == ("of [5] papers", "a [note]")
    cells = [
        [cell.strip() for cell in line.strip("│┃").split("│")] for line in lines if "│" in line
    ]
    assert cells == rows
    assert "│   0.9 │" in out  # to the right, under 10.25
    assert "┃  this ┃" in out


def test_a_table_of_nothing_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table(["name", "figure"], []))
    assert "┃ name ┃ figure ┃" in capsys.readouterr().out
