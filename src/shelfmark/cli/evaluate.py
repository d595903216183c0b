"""`shelfmark evaluate`, `robustness` and `report`."""

from __future__ import annotations

from pathlib import Path

import click

from shelfmark.cli.extras import require_family
from shelfmark.cli.output import print_table
from shelfmark.cli.parsing.command import Command, Whole
from shelfmark.cli.parsing.options import LocalPath, model_option, models_option, reports_option


@click.command("evaluate", cls=Command)
@model_option
@click.option("--split", default="test", show_default=True, help="test, validation or train.")
@click.option(
    "--baselines/--no-baselines", default=True, show_default=True,
    help="Fit and evaluate the baselines too.",
)  # fmt: skip
@models_option
@reports_option
def evaluate(model: str, split: str, baselines: bool, models: Path, reports: Path) -> None:
    """Evaluate a model on the test split, with two baselines: metrics, tables and charts."""
    from shelfmark.evaluation import evaluate

    require_family(models / model)
    report = evaluate.evaluate_model(models / model, reports, split, baselines=baselines)
    print_table(report.table())


@click.command("robustness", cls=Command, stopped="the last report is unchanged")
@model_option
@click.option("--split", default="validation", show_default=True, help="validation, test or train.")
@click.option(
    "--papers", type=Whole(1), default=2000, show_default=True,
    help="Largest number of papers, also of each year.",
)  # fmt: skip
@click.option(
    "--seed", type=Whole(0), default=7, show_default=True,
    help="Random seed that selects the papers and determines their changes.",
)  # fmt: skip
@click.option(
    "--years", default="",
    help="Train up to the end of each year, as 2013,2014, and test on the four following years.",
)  # fmt: skip
@models_option
@reports_option
def robustness(
    model: str, split: str, papers: int, seed: int, years: str, models: Path, reports: Path
) -> None:
    """Evaluate a model on perturbed papers (typos, truncation, stuffing, …) and over time."""
    from shelfmark.experiments.robustness.report import summary_tables
    from shelfmark.experiments.robustness.run import measure_robustness

    require_family(models / model)
    measured = measure_robustness(models / model, reports, split, papers, seed, years)
    for table in summary_tables(measured):
        print_table(table)


@click.command("report", cls=Command, stopped="the last report is unchanged")
@click.option(
    "--models", default="",
    help="Names of the models to report on, as five,twelve; all evaluated models if not given.",
)  # fmt: skip
@click.option(
    "--reports", type=LocalPath(existing=True), default="reports", show_default=True,
    help="Folder of the runs, in which the report is written.",
)  # fmt: skip
@click.option(
    "--models-folder", type=LocalPath(existing=True), default="models", show_default=True,
    help="Folder of the models.",
)  # fmt: skip
@click.option(
    "--data-folder", type=LocalPath(existing=True), default="data", show_default=True,
    help="Folder of the splits.",
)  # fmt: skip
def report(models: str, reports: Path, models_folder: Path, data_folder: Path) -> None:
    """Write reports/README.md, with its metrics and charts, from the runs on disk."""
    from shelfmark.reports.write import write_report

    names = [name for name in models.split(",") if name]
    write_report(reports, models_folder, data_folder, names)


COMMANDS = (evaluate, robustness, report)
