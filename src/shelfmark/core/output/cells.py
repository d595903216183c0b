"""Cells of a table that a spreadsheet opens."""

from __future__ import annotations

import re

# A spreadsheet runs a cell that starts with one of these as a formula, unless it is a number.
FORMULA = re.compile(r"\s*[=+\-@\t\r\n]")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def escape_formula(cell: str) -> str:
    """Return a cell that no spreadsheet runs: an apostrophe stands before what may be a formula."""
    return f"'{cell}" if FORMULA.match(cell) and not NUMBER.fullmatch(cell) else cell
