"""`inv report`: the page of all runs on disk, with the figures and pictures it draws from.

It writes `reports/README.md` and `reports/figures/<run>/`, with the `metrics.json` of each run and
the pictures that the page shows: small enough for git, where the runs themselves do not go.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import orjson
from loguru import logger

from shelfmark.core import files, provenance
from shelfmark.reports import charts
from shelfmark.reports import collect as report_runs
from shelfmark.reports import text as report_text
from shelfmark.reports.collect import FIGURES, METRICS, PAGE, Run, Runs


def write(
    reports: Path = Path("reports"),
    models: Path = Path("models"),
    data: Path = Path("data"),
    names: Sequence[str] = (),
) -> Path:
    """Write the report and return its page; a report of before stays until this one is whole.

    Args:
        reports: folder of the runs, in which the report is written too.
        models: folder of the models.
        data: folder of the splits.
        names: the models to tell of; without any, all that were measured on the test split.

    Raises:
        ShelfmarkError: there is nothing to report, a file is damaged, or the disk does not take it.
    """
    runs = report_runs.find(reports, models, data, names)
    files.clear_leftovers(reports)
    aside = reports / f"{files.PARTIAL}{os.getpid()}-report"
    try:
        with files.report_write_errors(reports / PAGE):
            _gather(runs, aside / FIGURES)
            (aside / PAGE).write_text(
                report_text.page(runs, provenance.command()), encoding="utf-8"
            )
            _take_place(aside, reports)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    logger.info("report: {}", reports / PAGE)
    return reports / PAGE


def _gather(runs: Runs, folder: Path) -> None:
    """Copy the figures of each run, and its pictures with fewer bytes."""
    for run in runs.every():
        target = folder / run.name
        target.mkdir(parents=True)
        (target / METRICS).write_bytes(_lines(run))
        for picture in run.pictures:
            (target / picture.name).write_bytes(
                charts.smaller(picture, run.name, run.figures["created"])
            )


def _lines(run: Run) -> bytes:
    """Return a run's figures as JSON with a line for each key, for git to compare."""
    rows = (orjson.dumps(key) + b": " + orjson.dumps(x) for key, x in run.figures.items())
    return b"{\n" + b",\n".join(rows) + b"\n}\n"


def _take_place(aside: Path, reports: Path) -> None:
    """Put a whole report where the one of before is, which comes back if that fails."""
    figures, before = reports / FIGURES, aside / "before"
    if figures.exists():
        figures.rename(before)
    try:
        (aside / FIGURES).rename(figures)
        (aside / PAGE).replace(reports / PAGE)
    except OSError:
        shutil.rmtree(figures, ignore_errors=True)
        if before.exists():
            before.rename(figures)
        raise
