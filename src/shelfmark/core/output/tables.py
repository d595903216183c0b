"""A table as a value: computing functions return it, a page or the command line shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns, the first of which names the row.

    Args:
        columns: their names, that of the first often empty.
        rows: the cells of each row, as many as there are columns.
        title: the text above it in a terminal.
        note: the text below it in a terminal.
        text_columns: how many of the first columns hold text, aligned to the left in Markdown.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""
    text_columns: int = 1

    def markdown(self) -> str:
        """Return the table in Markdown, the columns of numbers aligned to the right."""
        numbers = len(self.columns) - self.text_columns
        lines = [self.columns, ["---"] * self.text_columns + ["---:"] * numbers, *self.rows]
        return "\n".join(f"| {' | '.join(_escape(cell) for cell in line)} |" for line in lines)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
