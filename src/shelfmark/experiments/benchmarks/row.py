"""A line of the table of benchmarks, and how its ratio is written."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A line of the table: a measurement here, beside another, and their ratio."""

    what: str
    here: str = ""
    beside: str = ""
    ratio: str = ""


def format_ratio(ratio: float) -> str:
    """Return a ratio as the table shows it: `2.5x`, or `1/2.5` below one."""
    return f"{ratio:.1f}x" if ratio >= 1 else f"1/{1 / ratio:.1f}"
