"""A table as a value: what computes returns it, a page or the command line shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text under named columns, the first of which names the row.

    Args:
        columns: their names, that of the first often empty.
        rows: the cells of each row, as many as there are columns.
        title: what stands above it in a terminal.
        note: what stands below it in a terminal.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""

    def markdown(self) -> str:
        """Return the table in Markdown, all columns but the first aligned to the right."""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
