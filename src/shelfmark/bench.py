"""Measurements of speed and memory, each in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import orjson
from rich.table import Table

from shelfmark import config, console, preprocess
from shelfmark.errors import ShelfmarkError

REPEATS = 3


def run(names: Sequence[str], overrides: Sequence[str]) -> None:
    """Run benchmarks by name, with the overrides of `inv train`, and print their tables.

    Raises:
        ShelfmarkError: the configuration or the data do not allow it.
    """
    for name in names:
        BENCHMARKS[name](overrides)


def bench_data(overrides: Sequence[str]) -> None:
    """Time preprocessing from the source file to the Parquet splits, and print the table."""
    config.load(overrides)  # a mistake shows before any measurement
    runs = [_measured("data", overrides) for _ in range(REPEATS)]
    table = Table(title=f"Preprocessing, {REPEATS} runs", title_justify="left")
    for heading in ("papers", "seconds (median)", "papers/second", "slowest", "peak memory"):
        table.add_column(heading, justify="right")
    papers = runs[0]["papers"]
    seconds = [one["seconds"] for one in runs]
    table.add_row(
        f"{papers:,}",
        f"{statistics.median(seconds):.2f}",
        f"{papers / statistics.median(seconds):,.0f}",
        f"{papers / max(seconds):,.0f}",
        f"{max(one['peak_mb'] for one in runs):,.0f} MB",
    )
    console.STDOUT.print(table)


def _measured(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Run one measurement in a fresh process, so that memory and caches are its own."""
    command = [sys.executable, "-m", "shelfmark.bench", name, *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ShelfmarkError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    result: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return result


def _measure_data(overrides: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = config.load([*overrides, f"paths.data={folder}"])
        started = time.perf_counter()
        splits = preprocess.prepare(settings)
        seconds = time.perf_counter() - started
    return {"papers": splits.card["read"], "seconds": seconds}


def _peak_mb() -> float:
    """Return this process's largest resident memory in MB, 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


BENCHMARKS = {"data": bench_data}
MEASUREMENTS = {"data": _measure_data}


def main(name: str, overrides: Sequence[str]) -> None:
    """Make one measurement and print it as one JSON line."""
    with console.one_line_errors():
        result = MEASUREMENTS[name](overrides)
        print(orjson.dumps(result | {"peak_mb": _peak_mb()}).decode())


if __name__ == "__main__":
    console.set_up("WARNING")
    main(sys.argv[1], sys.argv[2:])
