"""What the commands print: every table goes to standard output through `print_table`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shelfmark.core.tables import Table


def print_table(table: Table) -> None:
    """Print a table on standard output, all columns but the first aligned to the right."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(
        title=Text(table.title) if table.title else None,
        caption=Text(table.note) if table.note else None,
        title_justify="left",
        caption_justify="left",
    )
    for number, name in enumerate(table.columns):
        shown.add_column(Text(name), justify="right" if number else "left", no_wrap=number > 0)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    Console(soft_wrap=True, highlight=False).print(shown)
