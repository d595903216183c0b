"""The committed report: its page is what its committed figures write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shelfmark.reports.collect import FIGURES, METRICS, PAGE, Run, Runs, read_figures
from shelfmark.reports.write import render_html, render_report
from tests.conftest import ROOT

REPORTS = ROOT / "reports"


def read_run(folder: Path) -> Run:
    pictures = tuple(sorted(folder.glob("*.png")))
    return Run(folder.name, read_figures(folder / METRICS), pictures)


@pytest.fixture(scope="module")
def page() -> str:
    return (REPORTS / PAGE).read_text(encoding="utf-8")


def test_the_committed_page_is_what_its_figures_write(page: str) -> None:
    command = page.split("`")[1]
    models = re.findall(r"--models ([\w,]+)", command)[0].split(",")
    runs = [read_run(path.parent) for path in (REPORTS / FIGURES).glob(f"*/{METRICS}")]
    kinds: dict[str, dict[str, Run]] = {}
    for run in runs:
        kinds.setdefault(run.figures["kind"], {})[run.model] = run
    data = [run for run in runs if run.figures["kind"] == "data"]
    found = Runs(
        evaluations=[kinds["evaluation"][model] for model in models],
        trainings=kinds["training"],
        data=sorted(data, key=lambda run: models.index(run.figures["models"][0])),
        drift=next(iter(kinds["drift"].values())),
        robustness=list(kinds["robustness"].values()),
        loads=list(kinds["load"].values()),
    )
    assert {run.name for run in found.all_runs()} == {run.name for run in runs}
    assert render_report(found, command) == page


def test_the_html_page_embeds_every_picture_and_fetches_nothing(page: str) -> None:
    html = render_html(page, REPORTS)
    assert html.count('src="data:image/png;base64,') == page.count("![")
    assert not re.search(r'<script|<link|(?:src|href)="(?!data:|https://)|<!--|url\(', html)
    assert "<title>Reports</title>" in html
