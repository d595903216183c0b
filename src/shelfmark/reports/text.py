"""The page of a report, put together from its sections."""

from __future__ import annotations

from shelfmark.reports.collect import Runs
from shelfmark.reports.models import compared, data, errors
from shelfmark.reports.tables import code
from shelfmark.reports.watch import drifted, loaded, robust

AGAIN = "uv run inv report"
SYNTHETIC = "**Some of these figures are of synthetic papers: they say nothing of real ones.**"


def page(runs: Runs, command: str | None) -> str:
    """Return the report in Markdown.

    Args:
        runs: what it tells of; nothing else does it draw from.
        command: what wrote it, if that is known.
    """
    synthetic = any(run.figures.get("synthetic") for run in runs.every())
    lines = [
        "# Reports",
        "",
        f"Written by {code(command or AGAIN)} from the runs on disk; no number is typed by hand, "
        f"and {code('uv run python reports/report.py check')} holds each against the figures in "
        "[figures](figures). What each command measures, and in which order they go, "
        "stands in [docs/reports.md](../docs/reports.md).",
        "",
        *([SYNTHETIC, ""] if synthetic else []),
        *data(runs),
        *compared(runs),
        *errors(runs),
        *drifted(runs),
        *robust(runs),
        *loaded(runs),
        *_missing(runs),
    ]
    return "\n".join(_without_double_blanks(lines)).rstrip() + "\n"


def _missing(runs: Runs) -> list[str]:
    """Return a line for each kind of run that there is none of, with the command that makes it."""
    model = runs.evaluations[-1].model if runs.evaluations else "latest"
    kinds: dict[str, tuple[str, object]] = {
        f"uv run inv evaluate --model {model}": ("evaluation on the test split", runs.evaluations),
        f"uv run inv drift --model {model} --papers FILE": ("comparison with new papers",
                                                            runs.drift),
        f"uv run inv robustness --model {model}": ("measurement of robustness", runs.robustness),
        f"uv run inv load-test --model {model}": ("load test", runs.loads),
    }  # fmt: skip
    lines = [
        f"- No {what} yet: {code(command)}."
        for command, (what, found) in kinds.items()
        if not found
    ]
    return ["## Missing", "", *lines, ""] if lines else []


def _without_double_blanks(lines: list[str]) -> list[str]:
    return [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]
