"""The evaluation of encoders on a split of the papers they were trained on, beside baselines."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from loguru import logger

from shelfmark.arxiv.text import Maths
from shelfmark.core import console, files, provenance
from shelfmark.core.arrays import Doubles
from shelfmark.core.pages import render
from shelfmark.data.splits import Splits, open_recorded_splits
from shelfmark.embeddings import artifact
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.baselines import LsaBaseline, TfidfBaseline
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.charts import save_figure
from shelfmark.evaluation.encoders import charts, subjects
from shelfmark.evaluation.encoders.records import EncoderReport, Figure, TaskSize
from shelfmark.evaluation.encoders.samples import Sample
from shelfmark.evaluation.encoders.subjects import FLOAT32, INT8, PartVectors, Subject
from shelfmark.evaluation.encoders.tasks import LARGEST_POOL, Task, list_tasks, needed_rows

FOLDER = "encoders"  # of the reports
TFIDF_PAPERS, LSA_PAPERS = 100_000, 50_000  # that the baselines are fitted on, at most
LIBRARIES = ("numpy", "scipy", "scikit-learn")
NO_AUTHORS = "no shared author: these splits have no column of authors"


def evaluate_encoders(
    located: Sequence[LocatedEncoder],
    reports: Path,
    split: str = "test",
    baselines: bool = True,
    largest_pool: int = LARGEST_POOL,
) -> EncoderReport:
    """Measure encoders on a split of the data they were trained on, and write the report.

    The report is `reports/encoders/<name>-<split>/`: metrics.json, README.md and a chart. It has
    the name of the first encoder.

    Args:
        located: the encoders.
        reports: folder of the reports.
        split: name of the split.
        baselines: whether TF-IDF and LSA are measured too.
        largest_pool: how many papers a title is searched among, at most.

    Raises:
        ShelfmarkError: an encoder or its splits are missing, the encoders were trained on different
            splits, or the report cannot be written.
    """
    opened, alone = (
        [artifact.load(folder, threads, digest) for folder, digest in located]
        for threads in (None, 1)
    )
    splits = open_common_splits(opened)
    measured = [Subject.of_encoder(*pair) for pair in zip(opened, alone, strict=True)]
    sample = open_sample(splits, split)
    tasks = list_tasks(sample, largest_pool)
    if not tasks:
        raise ShelfmarkError(f"{splits.folder}: the {split} split has too few papers to measure")
    if baselines:
        measured += fit_baselines(splits, sample)
    report = EncoderReport(
        name=opened[0].name,
        split=split,
        **provenance.stamp(),
        synthetic=splits.card["synthetic"],
        data_card_sha256=splits.digest,
        papers=sample.table.num_rows,
        machine=describe_machine(),
        notes=[] if sample.authors is not None else [NO_AUTHORS],
    )
    for subject in measured:
        add_figures(report, subject, sample, tasks)
    write_report(report, reports)
    return report


def open_common_splits(opened: Sequence[OpenEncoder]) -> Splits:
    """Open the splits that all encoders were trained on.

    Raises:
        ShelfmarkError: they are missing, changed, or not the same, or two names are equal.
    """
    first = opened[0]
    names = [one.name for one in opened] + [TfidfBaseline.name, LsaBaseline.name]
    for one in opened:
        if names.count(one.name) > 1:
            raise ShelfmarkError(f"{one.name} stands twice among the columns of the table")
        if one.card.data.card_sha256 != first.card.data.card_sha256:
            raise ShelfmarkError(
                f"{one.name} was trained on {one.card.data.folder}, {first.name} on "
                f"{first.card.data.folder}: one table needs the same papers; evaluate each alone"
            )
    data = first.card.data
    return open_recorded_splits(Path(data.folder), data.card_sha256, first.name)


def open_sample(splits: Splits, split: str) -> Sample:
    """Read the papers of a split, with their authors where they are recorded."""
    table = splits.read(split)
    return Sample(table, splits.card["config"]["maths"])


def fit_baselines(splits: Splits, sample: Sample) -> list[Subject]:
    """Fit TF-IDF and LSA on training papers, drawn by their identifiers."""
    texts = _training_texts(splits, sample.maths)
    with console.progress("fitting the baselines", 2) as bar:
        tfidf = TfidfBaseline.fit(texts)
        bar.advance()
        lsa = LsaBaseline.fit(tfidf, texts[:LSA_PAPERS])
        bar.advance()
    return [
        Subject.of_baseline(tfidf, len(texts)),
        Subject.of_baseline(lsa, min(len(texts), LSA_PAPERS)),
    ]


def _training_texts(splits: Splits, maths: Maths) -> list[str]:
    """Return the texts of some training papers; those of the others leave memory."""
    train = Sample(splits.read("train", ["id", "text"]), maths)
    texts = train.texts("paper", train.order[:TFIDF_PAPERS])
    del train
    pa.default_memory_pool().release_unused()
    return texts


def add_figures(
    report: EncoderReport, subject: Subject, sample: Sample, tasks: Sequence[Task]
) -> None:
    """Measure an encoder or a baseline, and add its figures to a report."""
    vectors = subjects.encode_parts(subject, sample, needed_rows(tasks))
    abstracts = sample.texts("abstract", sample.with_halves[: subjects.MOST_TIMED])
    speed = subjects.measure_speed(subject, abstracts)
    report.encoders[subject.name] = dict(subject.about)
    for one in (vectors, *(vectors.cut(size) for size in reversed(subject.sizes))):
        report.figures[one.name] = figures = _score(report, one, tasks)
        figures["abstracts_a_second"] = Figure(value=speed)
        figures["bytes_float32"] = Figure(value=one.bytes_a_paper(FLOAT32))
        figures["bytes_int8"] = Figure(value=one.bytes_a_paper(INT8))
        if subject.seconds is not None:
            figures["train_seconds"] = Figure(value=subject.seconds)


def _score(report: EncoderReport, vectors: PartVectors, tasks: Sequence[Task]) -> dict[str, Figure]:
    figures = {}
    with console.progress(f"measuring, {vectors.name}", len(tasks)) as bar:
        for task in tasks:
            size = TaskSize(queries=len(task.queries.rows), pool=len(task.pool.rows))
            for key, scores in task.scores(vectors.of(task.queries), vectors.of(task.pool)):
                figures[key] = summarize(scores)
                report.tasks[key] = size
            bar.advance()
    return figures


def summarize(scores: Doubles) -> Figure:
    """Return the mean of the queries' scores, and its standard error if there are several."""
    error = float(scores.std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else None
    return Figure(value=float(scores.mean()), error=error)


def describe_machine() -> dict[str, str | int | None]:
    """Return the cores and the versions that the speed depends on."""
    libraries = {library: version(library) for library in LIBRARIES}
    return {"cores": os.cpu_count(), "python": platform.python_version(), **libraries}


def write_report(report: EncoderReport, reports: Path) -> Path:
    """Write metrics.json, a chart and a page; return their folder.

    Each file is written completely or not at all.

    Raises:
        ShelfmarkError: the disk is full, or the folder cannot be written.
    """
    folder = reports / FOLDER / f"{report.name}-{report.split}"
    with files.report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        chart = charts.draw_quality(report)
        save_figure(chart, folder / charts.QUALITY, folder.name, report.created or "")
    page = render(
        "evaluation/encoders/templates/report.md", report=report, table=report.table().markdown(),
        chart=charts.QUALITY,
    )  # fmt: skip
    with files.atomic_write(folder / "metrics.json") as file:
        file.write(report.to_json())
    with files.atomic_write(folder / "README.md") as file:
        file.write(page.encode())
    logger.info("report: {}", folder / "README.md")
    return folder
