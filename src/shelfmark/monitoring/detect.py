"""One run of drift detection: window, comparison, report.

A report is `reports/drift/<time>/`, written completely or not at all; `reports/drift/latest` points
at the newest.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loguru import logger

from shelfmark.artifacts.aliases import LATEST
from shelfmark.config.load import load_drift_config
from shelfmark.config.schema import DriftConfig
from shelfmark.core import console, files, provenance
from shelfmark.data.inputs import Setting
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact
from shelfmark.models.card import ModelCard
from shelfmark.monitoring import compare, reference, windows
from shelfmark.monitoring.compare import Comparison
from shelfmark.monitoring.evidently import load_evidently, render_evidently_page
from shelfmark.monitoring.fingerprint import Sketcher
from shelfmark.monitoring.page import render_page
from shelfmark.monitoring.records import DRIFT, NO_DRIFT, TOO_LITTLE, DriftReport
from shelfmark.monitoring.report import build_report, prometheus_gauges
from shelfmark.monitoring.vectors import encode_samples
from shelfmark.monitoring.windows import Window

REPORT, PAGE, GAUGES = "drift.json", "index.html", "drift.prom"
EVIDENTLY = "evidently.html"
FOLDER = "drift"
EXIT_STATUS: dict[str, int] = {NO_DRIFT: 0, DRIFT: 2, TOO_LITTLE: 3}  # 1 is an error, as everywhere


def detect_drift(
    model: Path, reports: Path, limits: DriftConfig, *, log: str = "", papers: Setting = "",
    since: str = "", truth: Setting = "", evidently: bool = False,
    encoder: LocatedEncoder | None = None,
) -> DriftReport:  # fmt: skip
    """Compare a window with a model's reference, and write the report.

    Args:
        model: folder of the model.
        reports: folder of all reports.
        limits: what counts as drift.
        log: folder, file or address of a prediction log; or
        papers: files of papers.
        since: start of the window, as `windows.parse_since` takes it.
        truth: files of papers with the true labels of the papers in the log.
        evidently: whether to draw Evidently's own page too.
        encoder: the encoder by whose vectors texts are compared too.

    Raises:
        ShelfmarkError: model, log, papers or encoder cannot be read, the report cannot be written,
            texts that the encoder needs are missing, or another run is in progress.
    """
    if bool(log) == bool(papers):
        raise ShelfmarkError("give --log FOLDER or --papers FILE")
    if truth and not log:
        raise ShelfmarkError("--labels go with --log; a file of papers has its own")
    if evidently:  # a missing library shows before the work
        load_evidently()
    folder = reports / FOLDER
    with files.report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = files.try_lock(folder / ".running")
    if held is None:
        raise ShelfmarkError(f"another run is in progress in {folder}")
    with held:
        files.clear_leftovers(folder)
        model, digest = artifact.follow(model)  # `latest` may change during the run
        card, opened_files = artifact.open_files(model, digest)
        known = reference.load_reference(opened_files)
        if log:
            window = windows.from_log(log, card, since, limits.max_papers, truth)
        else:
            opened = artifact.load(model, digest=card.digest)
            window = windows.from_papers(papers, opened, since, limits.max_papers)
        samples = None if encoder is None else encode_samples(encoder, card, window)
        comparison = compare.compare(known, window, limits, samples)
        return _write(card, known, window, comparison, limits, folder, evidently)


def _write(
    card: ModelCard,
    known: reference.Reference,
    window: Window,
    comparison: Comparison,
    limits: DriftConfig,
    folder: Path,
    evidently: bool,
) -> DriftReport:
    sketcher = Sketcher(card.config["features"])
    report = build_report(card.name, known, window, comparison, limits, sketcher)
    report.command, report.synthetic = provenance.command(), card.data.synthetic
    target = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    with files.atomic_folder(target) as aside:
        (aside / REPORT).write_bytes(report.to_json())
        (aside / PAGE).write_text(render_page(report), encoding="utf-8")
        (aside / GAUGES).write_bytes(prometheus_gauges(report))
        if evidently and min(len(window.rows), len(known.rows)) >= limits.min_papers:
            columns = list(compare.SHARES), list(compare.NUMBERS)
            content = render_evidently_page(known.rows, window.rows, *columns)
            (aside / EVIDENTLY).write_text(content, encoding="utf-8")
    files.point_link(target, LATEST)
    _forget(folder, limits.keep)
    logger.info("report: {}", target / PAGE)
    return report


def _forget(folder: Path, keep: int) -> None:
    """Remove all but the newest reports."""
    made = sorted(path for path in folder.glob("*/") if not path.is_symlink())
    for path in [path for path in made if not path.name.startswith(".")][:-keep]:
        shutil.rmtree(path, ignore_errors=True)


def latest_report(reports: Path) -> Path | None:
    """Return the folder of the newest report; None without any."""
    link = reports / FOLDER / LATEST
    return link.resolve() if (link / REPORT).is_file() else None


def main(words: Sequence[str]) -> None:
    """Run with the words of the monitor: model, reports, log, labels, since, overrides."""
    console.configure_logging()
    with console.one_line_errors("the last report is unchanged"):
        model, reports, log, truth, since, *overrides = words
        limits = load_drift_config(overrides)
        report = detect_drift(Path(model), Path(reports), limits, log=log, since=since, truth=truth)
        raise SystemExit(EXIT_STATUS[report.verdict])


if __name__ == "__main__":
    main(sys.argv[1:])
