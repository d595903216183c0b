"""The evaluation of a model on one split, with two baselines: figures, tables and charts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from loguru import logger

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.core import console, files, provenance
from shelfmark.core.output.tables import Table
from shelfmark.core.pages import render
from shelfmark.data.splits import PaperGroups, Splits, as_groups, open_recorded_splits, read_rows
from shelfmark.evaluation import charts, metrics, scope_scores
from shelfmark.evaluation.baselines import MOST_PAPERS, run_baselines
from shelfmark.evaluation.predicting import predict_papers
from shelfmark.evaluation.records import (
    ClassScores,
    CoveragePoint,
    EvaluationReport,
    Promise,
    Scores,
    StrangerScores,
    SuggestionBin,
)
from shelfmark.models import artifact, confidence
from shelfmark.models.artifact import Model
from shelfmark.models.confidence import Answers

TERMS_A_CLASS = 8
EXPLAINED_PAPERS = 400


def evaluate_model(
    model_folder: Path, reports: Path, split: str = "test", baselines: bool = True
) -> EvaluationReport:
    """Evaluate a model on a split of the data it was trained on, and write the report.

    The report is `reports/<model>-<split>/`: metrics.json, README.md and the charts.

    Raises:
        ShelfmarkError: the model or its splits are missing, or the report cannot be written.
    """
    model, splits = open_model_and_splits(model_folder)
    papers = splits.file(split)
    report = build_report(
        model, splits, split, papers, score_answers(predict_papers(model, papers), model)
    )
    if baselines:
        report.baselines, report.baseline_papers = run_baselines(splits, papers)
    write_report(report, reports)
    return report


def open_model_and_splits(model_folder: Path) -> tuple[Model, Splits]:
    """Open an artifact and the splits of the data it was trained on.

    Raises:
        ShelfmarkError: one is missing, or the model was trained on other splits.
    """
    model = artifact.load(model_folder)
    data = model.card.data
    return model, open_recorded_splits(Path(data.folder), data.card_sha256, model.version)


def build_report(
    model: Model, splits: Splits, split: str, papers: PaperGroups, scores: Scores
) -> EvaluationReport:
    """Return the report on a split, without baselines.

    Args:
        model: the model evaluated.
        splits: of the data it was trained on.
        split: name of the split.
        papers: of the split, of which few are in memory at a time.
        scores: of the model's answers to them.
    """
    return EvaluationReport(
        model=model.version,
        split=split,
        **provenance.stamp(),
        synthetic=splits.card["synthetic"],
        data_card_sha256=splits.digest,
        **dict(scores),
        strangers=scope_scores.score_strangers(model, splits, split),
        telling_terms=find_telling_terms(model, papers),
    )


def score_answers(answers: Answers, model: Model) -> Scores:
    """Return all scores of answers, with the effect of the model's verdicts."""
    base = metrics.score_probabilities(
        answers.targets, answers.probabilities, list(answers.classes)
    )
    points = confidence.coverage(answers.confidence, answers.right)
    return Scores(
        **dict(base),
        among=float(answers.among.mean()),
        coverage=[CoveragePoint(**point) for point in points],
        **scope_scores.score_verdicts(answers, model),
        **_score_cross_lists(answers, model.card.limits.cross_lists_from),
    )


def _score_cross_lists(answers: Answers, least: float | None) -> dict[str, Any]:
    """Return the scores of the cross-lists suggested from a probability, empty without one."""
    if least is None:
        return {}
    figures = confidence.list_figures(answers.lists, answers.membership, answers.others, least)
    bins = confidence.suggestion_bins(answers.lists, answers.membership, least)
    return {
        "cross_lists_precision": figures["precision"],
        "cross_lists_recall": figures["recall"],
        "suggestions": [SuggestionBin(**row) for row in bins],
    }


def find_telling_terms(
    model: Model, papers: PaperGroups | pa.Table
) -> dict[str, list[tuple[str, float]]]:
    """Return, for each class, the words that push its own papers towards it most.

    A word's weight is the sum of its weights in the explanations of up to 400 papers of the split.
    """
    groups = as_groups(papers)
    rows = _few_of_each(groups.read(["label"])["label"].to_pylist(), EXPLAINED_PAPERS)
    few = read_rows(groups, np.array(rows), ["text", "label"])
    texts, labels = (few[column].to_pylist() for column in ("text", "label"))
    pushes: dict[str, Counter[str]] = {label: Counter() for label in model.classes}
    with console.progress("explaining", len(rows)) as bar:
        for text, label in zip(texts, labels, strict=True):
            if label in pushes:
                explanation = model.classifier.explain(text, label)
                pushes[label].update(explanation.weights if explanation else {})
            bar.advance()
    return {
        label: [(word, weight) for word, weight in found.most_common(TERMS_A_CLASS) if weight > 0]
        for label, found in pushes.items()
    }


def _few_of_each(labels: list[str], total: int) -> list[int]:
    each = max(1, total // max(1, len(set(labels))))
    seen: Counter[str] = Counter()
    rows = []
    for row, label in enumerate(labels):
        seen[label] += 1
        if seen[label] <= each:
            rows.append(row)
    return rows


def write_report(report: EvaluationReport, reports: Path) -> list[Path]:
    """Write metrics.json, charts and a page to `reports/<model>-<split>`; return the charts.

    Each file is written completely or not at all.

    Raises:
        ShelfmarkError: the disk is full, or the folder cannot be written.
    """
    folder = reports / f"{report.model}-{report.split}"
    with files.report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        names = charts.draw_charts(report, folder)
    page = render(
        "evaluation/templates/report.md",
        report=report,
        table=report.table().markdown(),
        classes=_class_table(report.per_class).markdown(),
        promises=_promise_table(report.promises).markdown(),
        strangers=_stranger_table(report.strangers).markdown(),
        charts=names,
        sampled=report.baseline_papers == MOST_PAPERS,
    )
    with files.atomic_write(folder / "metrics.json") as file:
        file.write(report.to_json())
    with files.atomic_write(folder / "README.md") as file:
        file.write(page.encode())
    logger.info("report: {}", folder / "README.md")
    return [folder / name for name in names]


def _class_table(per_class: dict[str, ClassScores]) -> Table:
    rows = [
        [label, full_name(label), *(f"{x:.3f}" for x in (row.precision, row.recall, row.f1)),
         f"{row.papers:,}"]
        for label, row in per_class.items()
    ]  # fmt: skip
    return Table(("class", "name", "precision", "recall", "F1", "papers"), rows, text_columns=2)


def _promise_table(promises: list[Promise]) -> Table:
    questions = {"primary": "primary category", "listed": "any category of the paper"}
    rows = [
        [row.verdict, questions[row.question], f"{row.promised:.1%}",
         "" if row.kept is None else f"{row.kept:.1%}", f"{row.share:.1%}"]
        for row in promises
    ]  # fmt: skip
    return Table(("verdict", "question", "promised", "kept", "of the papers"), rows, text_columns=2)


def _stranger_table(strangers: list[StrangerScores]) -> Table:
    rows = [
        [
            row.kind,
            f"{row.papers:,}",
            f"{row.sure:.2%}",
            f"{row.doubtful:.1%}",
            f"{row.outside:.1%}",
        ]
        for row in strangers
    ]  # fmt: skip
    return Table(("texts", "number", "sure", "doubtful", "outside"), rows)
