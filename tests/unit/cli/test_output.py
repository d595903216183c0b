"""Tables on standard output."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shelfmark.cli.output import print_table
from shelfmark.core import console
from shelfmark.core.output.tables import Table


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


LONG = """
import sys
from shelfmark.cli import main, output
from shelfmark.cli.parsing import command
from shelfmark.core.output.tables import Table

@main.shelfmark.command("long", cls=command.Command)
def long():
    print("first", flush=True)
    output.print_table(Table(["name"], [["x" * 100]] * 2000))
    print("y" * 1_000_000)

main.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["long", "--help"])
def test_a_command_whose_output_nobody_reads_ends_in_silence(words: str, unbuffered: str) -> None:
    command = [sys.executable, "-c", LONG, words]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    reading, writing = os.pipe()
    if words == "--help":  # shorter than the buffer of the pipe
        os.close(reading)
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, env=environment) as one:
        os.close(writing)
        if words == "long":
            head = subprocess.run(["head", "-1"], stdin=reading, capture_output=True, check=True)
            os.close(reading)
            assert head.stdout == b"first\n"
        assert one.communicate()[1] == b""
    assert one.returncode == console.OUTPUT_CLOSED


def test_a_table_of_nothing_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table(["name", "figure"], []))
    assert "┃ name ┃ figure ┃" in capsys.readouterr().out
