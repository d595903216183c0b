"""A cell that a spreadsheet opens is no formula, and a number stays a number."""

from __future__ import annotations

import pytest

from shelfmark.core.output.cells import escape_formula


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "-1+1", "+", "=", "-"],
)
def test_a_formula_is_escaped(cell: str) -> None:
    assert escape_formula(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["", "a=1", "cs.AI", "'", "0704.0021", "-5", "+5", "-0.25", "1e-06", "-1.5E+3", "[1]"]
)
def test_anything_else_stays(cell: str) -> None:
    assert escape_formula(cell) == cell
