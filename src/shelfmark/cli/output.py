"""What the commands print: every table goes to standard output through `print_table`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shelfmark.core.tables import Table

WIDEST = 10_000  # characters of a line


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
