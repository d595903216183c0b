"""A line of the table of benchmarks."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A line of the table: a measurement here, beside another, and their ratio."""

    what: str
    here: str = ""
    beside: str = ""
    ratio: str = ""
