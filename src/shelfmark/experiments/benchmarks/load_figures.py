"""What a load test measured: its table, its ratios beside their budgets, and its record."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from rich import box
from rich.table import Table

from shelfmark.core import console, files
from shelfmark.errors import ShelfmarkError

LIST = 64
LISTS = f"lists of {LIST}"
BUSY = 0.9  # of a core: beyond it the load generator may be what limits the figures
PERCENTILES = (50, 95, 99)
MOMENTS = ("start", "middle", "end")  # of a phase, at which the service's memory is looked at

BUDGETS = {
    "requests/s of predict over health": ("at least", 0.40),
    "p99 over p50 of predict": ("at most", 8.0),
    f"papers/s in {LISTS} over single": ("at least", 5.0),
    "errors": ("at most", 0.0),
    "memory at the end over that after warm-up": ("at most", 1.10),
}


@dataclass(frozen=True)
class Figures:
    """What was measured in one phase."""

    milliseconds: np.ndarray[Any, np.dtype[np.float64]]  # of each request that was answered
    papers: int
    seconds: float
    errors: int
    first_error: str
    own_cpu: float  # of the load generator, in cores
    memory: list[float]  # MB of the service at the start, in the middle, at the end, if known

    @property
    def requests_rate(self) -> float:
        """How many requests were answered in a second."""
        return len(self.milliseconds) / self.seconds

    @property
    def papers_rate(self) -> float:
        """How many papers were answered in a second."""
        return self.papers / self.seconds

    def percentile(self, percent: float) -> float:
        """Return the time that so many of the answers kept to: one of those measured."""
        if not len(self.milliseconds):
            return math.nan
        return float(np.percentile(self.milliseconds, percent, method="inverted_cdf"))


def ratios(figures: dict[str, Figures]) -> dict[str, float]:
    """Return the figures that have a budget; memory only where it is known."""
    health, predict, lists = figures["health"], figures["predict"], figures[LISTS]
    values = [
        _over(predict.requests_rate, health.requests_rate),
        _over(predict.percentile(99), predict.percentile(50)),
        _over(lists.papers_rate, predict.papers_rate),
        float(sum(one.errors for one in figures.values())),
    ]
    if health.memory and lists.memory:
        values.append(_over(lists.memory[-1], health.memory[0]))
    return dict(zip(BUDGETS, values, strict=False))


def _over(one: float, other: float) -> float:
    return one / other if other else math.nan


def judged(figures: dict[str, Figures]) -> dict[str, dict[str, Any]]:
    """Return each ratio with the side and the limit of its budget, and whether it is met."""
    found = {}
    for name, value in ratios(figures).items():
        side, limit = BUDGETS[name]
        met = value >= limit if side == "at least" else value <= limit
        found[name] = {"value": value, "side": side, "limit": limit, "met": met}
    return found


def hold(figures: dict[str, Figures]) -> None:
    """Print each ratio with its budget.

    Raises:
        ShelfmarkError: some are past theirs; names them.
    """
    past = []
    for name, one in judged(figures).items():
        told = f"{name} {one['value']:.3g} (budget: {one['side']} {one['limit']:g})"
        console.STDOUT.print("met    " if one["met"] else "NOT MET", told)
        past += [] if one["met"] else [told]
    for name, phase in figures.items():
        if phase.own_cpu > BUSY:
            console.STDOUT.print(f"{name}: the load generator itself may have been the limit")
    if past:
        errors = [f"; {name}: {one.first_error}" for name, one in figures.items() if one.errors]
        raise ShelfmarkError(f"past the budget: {', '.join(past)}{''.join(errors[:1])}")


def write(about: dict[str, Any], figures: dict[str, Figures], folder: Path) -> Path:
    """Write the record of a run, `metrics.json` of a folder, and return it.

    Args:
        about: what was asked of whom, by which command and when.
        figures: of each phase.
        folder: of the run, made where it is missing.

    Raises:
        ShelfmarkError: the disk does not take it; a record of before stays.
    """
    path = folder / "metrics.json"
    machine = {"machine": {"cores": os.cpu_count()}}
    phases = {name: _recorded(one) for name, one in figures.items()}
    whole = {"kind": "load", **about, **machine, "phases": phases, "budgets": judged(figures)}
    with files.atomic_write(path) as file:
        file.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2))
    return path


def _recorded(one: Figures) -> dict[str, Any]:
    return {
        "requests_per_second": one.requests_rate,
        "papers_per_second": one.papers_rate,
        **{f"p{percent}_ms": one.percentile(percent) for percent in PERCENTILES},
        "errors": one.errors,
        "first_error": one.first_error,
        **{f"memory_{when}_mb": mb for when, mb in zip(MOMENTS, one.memory, strict=False)},
        "load_generator_cores": one.own_cpu,
    }


def table(figures: dict[str, Figures], title: str) -> Table:
    """Return the figures of all phases, for a terminal."""
    note = "MB: the service's memory at start, middle, end; CPU: the load generator's, of a core"
    shown = Table("", title=title, caption=note, title_justify="left", caption_justify="left",
                  box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))  # fmt: skip
    for heading in ("req/s", "papers/s", "p50 ms", "p95 ms", "p99 ms", "errors", "MB", "CPU"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for name, one in figures.items():
        percentiles = (f"{one.percentile(percent):,.1f}" for percent in PERCENTILES)
        held = " ".join(f"{mb:.0f}" for mb in one.memory)
        papers = f"{one.papers_rate:,.0f}" if one.papers else ""
        shown.add_row(name, f"{one.requests_rate:,.0f}", papers, *percentiles, f"{one.errors:,}",
                      held, f"{one.own_cpu:.0%}")  # fmt: skip
    return shown
