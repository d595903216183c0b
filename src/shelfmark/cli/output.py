"""What the commands print: every table goes to standard output through `print_table`."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from shelfmark.core.output.targets import OutputStream

if TYPE_CHECKING:
    from shelfmark.core.output.tables import Table

WIDEST = 10_000  # characters of a line


def name_standard_output() -> None:
    """Let the errors of standard output name it, where it is a file or a pipe of this process.

    A closed one is an error when it is written, and no other file takes its number. A pipe whose
    reader has ended is an `OutputClosedError`.
    """
    if sys.stdout is None:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 1)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    before = sys.stdout
    buffer = getattr(before, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if type(raw) is not io.FileIO or raw.fileno() != 1 or raw.isatty():
        return
    before.flush()
    named = OutputStream(1, "standard output", closefd=False)
    sys.stdout = io.TextIOWrapper(
        named if buffer is raw else io.BufferedWriter(named),  # PYTHONUNBUFFERED has no buffer
        encoding=before.encoding,
        errors=before.errors,
        write_through=buffer is raw,
    )


def print_table(table: Table) -> None:
    """Print a table on standard output, all columns but the first aligned to the right.

    Where a terminal is too narrow, cells are wrapped. A pipe or a file gets the whole width.
    """
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable()
    for number, name in enumerate(table.columns):
        shown.add_column(Text(name), justify="right" if number else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*map(Text, row))
    console = Console(highlight=False)
    if not console.is_terminal:
        widest = console.options.update(max_width=WIDEST)
        console.width = max(console.width, console.measure(shown, options=widest).maximum)
    if table.title:
        console.print(Text(table.title, style="italic"), soft_wrap=True)
    console.print(shown)
    if table.note:
        console.print(Text(table.note, style="dim italic"), soft_wrap=True)
