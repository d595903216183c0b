"""What a report says of models in use: drift, robustness, load."""

from __future__ import annotations

from typing import Any

from shelfmark.monitoring import compare as drift
from shelfmark.monitoring.report import headline, sentence
from shelfmark.reports.collect import Run, Runs
from shelfmark.reports.models import SYNTHETIC, title
from shelfmark.reports.tables import code, made, mark, moment, number, pictures, plain, table

AS_IS = "as_is"
CHANGES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "abstained": "not answered with confidence",
    "confident_precision": "accuracy of confident answers",
}
YEARS = {"papers": "papers", **{key: CHANGES[key] for key in ("accuracy", "macro_f1", "abstained")}}
DRIFT = {
    "papers": "papers",
    "effect": "moved by",
    "threshold": "alarm from",
    "adjusted": "p, corrected",
}
LOAD = {
    "requests_per_second": ("requests a second", ",.0f"),
    "papers_per_second": ("papers a second", ",.0f"),
    "p50_ms": ("median ms", ",.1f"),
    "p95_ms": ("p95 ms", ",.1f"),
    "p99_ms": ("p99 ms", ",.1f"),
    "errors": ("errors", ",d"),
    "memory_start_mb": ("MB at start", ",.0f"),
    "memory_end_mb": ("MB at end", ",.0f"),
}


def drifted(runs: Runs) -> list[str]:
    """Return the section on the last comparison with new papers: verdict, what moved, all tests."""
    if (run := runs.drift) is None:
        return []
    report = run.figures
    moved = [
        [code(one["title"]), plain(sentence(one, one["words"]))]
        for one in report["tests"]
        if one["status"] == drift.DRIFT
    ]
    rows = [
        [code(one["title"]), one["status"], f"{one['papers']:,}", number(one["effect"], ".3f"),
         f"{one['threshold']:g}", number(one["adjusted"], ".2g")]
        for one in report["tests"]
    ]  # fmt: skip
    return [
        "## Drift",
        "",
        mark(run.name, *(f"{run.name}/{key}" for key in ("window", "reference", "limits"))),
        "",
        f"**{plain(headline(report))}.** {code(report['model'])}{SYNTHETIC * report['synthetic']}: "
        f"{_span(report['window'])}, beside {report['reference']['papers']:,} of validation.",
        "",
        *(table([f"{run.name}/tests"], ["what moved", "how"], {}, moved) if moved else []),
        *table([f"{run.name}/tests"], ["what", "verdict"], DRIFT, rows),
        *made(run),
    ]


def _span(window: dict[str, Any]) -> str:
    if not window.get("first"):
        return f"{window['papers']:,} papers"
    return f"{window['papers']:,} papers from {moment(window['first'])} to {moment(window['last'])}"


def robust(runs: Runs) -> list[str]:
    """Return the section on changed papers and on papers of later years."""
    lines = ["## Robustness", ""] if runs.robustness else []
    for run in runs.robustness:
        lines += [
            f"### {title(run)}",
            "",
            *pictures(run, run.model),
            *_changes(run),
            *_years(run),
            *made(run),
        ]
    return lines


def _changes(run: Run) -> list[str]:
    report = run.figures
    every = {AS_IS: report.get(AS_IS), **(report.get("changes") or {})}
    rows = [
        [code(name), *(number(one.get(key)) for key in CHANGES), _difference(one)]
        for name, one in every.items()
        if one is not None
    ]
    about = [mark(run.name), "", f"{report.get('papers', 0):,} papers of the "
             f"{report.get('split', '')} split, as they are and changed in each way."]  # fmt: skip
    sources = [run.name, f"{run.name}/changes"]
    heads = {**CHANGES, "difference": "accuracy won or lost, with its interval"}
    return [*about, "", *table(sources, ["papers"], heads, rows)]


def _difference(one: dict[str, Any]) -> str:
    found = (one.get("difference") or {}).get("accuracy")
    if not isinstance(found, dict):
        return number(found, "+.3f")
    return f"{found['value']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"


def _years(run: Run) -> list[str]:
    """Return the table of models trained to the end of a year, on papers of later ones."""
    years: dict[str, dict[str, dict[str, Any]]] = run.figures.get("years") or {}
    rows = [
        [f"{code(trained)}, {code(tested)}", f"{one['papers']:,}",
         *(number(one.get(key)) for key in list(YEARS)[1:])]
        for trained, found in years.items()
        for tested, one in found.items()
    ]  # fmt: skip
    words = ["trained to the end of, tested on"]
    return table([f"{run.name}/years"], words, YEARS, rows) if rows else []


def loaded(runs: Runs) -> list[str]:
    """Return the section on the service under load, with what it was to keep to."""
    lines = ["## Load test", ""] if runs.loads else []
    for run in runs.loads:
        lines += [f"### {title(run)}", "", *_phases(run), *_budgets(run), *made(run)]
    return lines


def _phases(run: Run) -> list[str]:
    report = run.figures
    rows = [
        [code(name), *(number(one.get(key), form) for key, (_, form) in LOAD.items())]
        for name, one in report["phases"].items()
    ]  # fmt: skip
    heads = {key: name for key, (name, _) in LOAD.items()}
    cores = f"{report['machine']['cores']:,} cores"
    where = f"from a machine of {cores}"
    if workers := report.get("workers"):  # else the service runs elsewhere, or was there before
        where = f"on {cores} shared with the service; its worker processes: {workers:,}"
    return [
        mark(run.name, f"{run.name}/machine"),
        "",
        f"{report['users']:,} users at once, {report['seconds_a_phase']:g} seconds a phase, "
        f"{where}.",
        "",
        *table([f"{run.name}/phases"], ["asked"], heads, rows),
    ]


def _budgets(run: Run) -> list[str]:
    rows = [
        [code(name), "met" if one["met"] else "**not met**", number(one["value"], ".3g"),
         f"{one['side']} {one['limit']:g}"]
        for name, one in run.figures["budgets"].items()
    ]  # fmt: skip
    heads = {"value": "measured", "limit": "budget"}
    return table([f"{run.name}/budgets"], ["what", ""], heads, rows)
