"""`shelfmark drift`, `monitor` and `bench-drift`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from shelfmark.cli.encoders import encoders_option, local_encoder
from shelfmark.cli.extras import require_extra
from shelfmark.cli.output import print_table
from shelfmark.cli.parsing.command import Command, Whole
from shelfmark.cli.parsing.options import (
    host_option,
    model_option,
    models_option,
    port_option,
    reports_option,
    root_path_option,
    without_empty,
)
from shelfmark.cli.parsing.overrides import Override, OverridesCommand, overrides_argument


def limits() -> list[str]:
    """Return the keys of configs/drift.yaml, as completion offers them."""
    from shelfmark.config.schema import DriftConfig

    return [f"{key}=" for key in DriftConfig.model_fields]


@click.command("drift", cls=Command, stopped="the last report is unchanged")
@click.argument("overrides", nargs=-1, type=Override(limits))
@click.option(
    "--log", default="", help="Folder of the prediction log, a file of it, or gs://bucket/folder."
)
@click.option(
    "--papers", multiple=True, callback=without_empty,
    help="File of papers, with labels or without: Parquet, JSON lines, CSV, text; again, a folder "
    "or a pattern for several.",
)  # fmt: skip
@click.option(
    "--labels", multiple=True, callback=without_empty,
    help="File of papers with the true labels of the papers in the log, by id; or several.",
)  # fmt: skip
@click.option(
    "--since", default="",
    help="Start of the window: 7d, 24h, 90m, 2w or 2026-11-01; the whole log if not given.",
)  # fmt: skip
@click.option(
    "--retrain-if", is_flag=True,
    help="If there is drift, train a new model, and keep it only if it is better.",
)  # fmt: skip
@click.option(
    "--harvest", multiple=True, callback=without_empty,
    help="Training papers for --retrain-if, in arXiv's format; one file or several.",
)  # fmt: skip
@click.option(
    "--encoder", default="",
    help="Compare the texts by their vectors too: name, folder or address of an encoder.",
)  # fmt: skip
@encoders_option
@click.option("--evidently", is_flag=True, help="Write the page of the Evidently library too.")
@model_option
@models_option
@reports_option
def drift(
    overrides: tuple[str, ...], log: str, papers: tuple[str, ...], labels: tuple[str, ...],
    since: str, retrain_if: bool, harvest: tuple[str, ...], encoder: str, encoders: str,
    evidently: bool, model: str, models: Path, reports: Path,
) -> None:  # fmt: skip
    """Detect drift from the validation papers: status 0 no drift, 2 drift, 3 too little data.

    Limits are the keys of configs/drift.yaml: drift --log logs --since 7d level=0.01
    """
    if evidently:
        require_extra("evidently", "evidently")
    from shelfmark.core import storage

    if log.partition("://")[0] in storage.GOOGLE:
        require_extra("gcsfs", "gs")
    from shelfmark.config.load import load_drift_config
    from shelfmark.data import inputs
    from shelfmark.monitoring import detect

    limits = load_drift_config(overrides)
    if retrain_if:  # a mistake shows before the work
        inputs.find_files(harvest or "", "--harvest")
    with local_encoder(encoder, encoders) if encoder else nullcontext() as located:
        report = detect.detect_drift(
            models / model, reports, limits, log=log, papers=papers, since=since, truth=labels,
            evidently=evidently, encoder=located,
        )  # fmt: skip
    print_table(report.table())
    if retrain_if and report.alarm:
        from shelfmark.training import retrain

        retrain.retrain_and_compare(models / model, harvest, reports, limits)
    raise SystemExit(detect.EXIT_STATUS[report.verdict])


@click.command("monitor", cls=Command)
@host_option
@port_option
@root_path_option
def monitor(host: str, port: int, root_path: str) -> None:
    """Serve the drift monitor: POST /drift/run, GET /drift/latest, /monitoring, /metrics."""
    from shelfmark.service import monitor

    monitor.serve(host, port, root_path)


@click.command(
    "bench-drift",
    cls=OverridesCommand,
    examples=["bench-drift data=snapshot data.path=../shared/arxiv/arxiv.zip"],
)
@overrides_argument
@click.option(
    "--draws", type=Whole(1), default=200, show_default=True,
    help="Number of windows of each size without drift.",
)  # fmt: skip
@click.option(
    "--repeats", type=Whole(1), default=40, show_default=True,
    help="Number of windows of each size for each kind of drift.",
)  # fmt: skip
@click.option(
    "--encoder", default="",
    help="Compare words with vectors too: name, folder or address of an encoder.",
)  # fmt: skip
@encoders_option
def bench_drift(
    overrides: tuple[str, ...], draws: int, repeats: int, encoder: str, encoders: str
) -> None:
    """Measure the false-alarm rate and the detection rate of drift, on real papers."""
    from shelfmark.embeddings import artifact
    from shelfmark.experiments.benchmarks.drift import measure_detection

    with local_encoder(encoder, encoders) if encoder else nullcontext() as located:
        opened = located and artifact.load(located.folder, digest=located.digest)
        for table in measure_detection(overrides, draws, repeats, opened):
            print_table(table)


COMMANDS = (drift, monitor, bench_drift)
