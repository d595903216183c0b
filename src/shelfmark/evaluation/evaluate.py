"""The evaluation of a model on one split, with two baselines: figures, tables and charts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from loguru import logger
from sklearn.svm import LinearSVC

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.core import console, files, provenance
from shelfmark.core.output.tables import Table
from shelfmark.core.pages import render
from shelfmark.data.splits import Splits, open_recorded_splits
from shelfmark.evaluation import charts, metrics
from shelfmark.evaluation.records import (
    ClassScores,
    CoveragePoint,
    EvaluationReport,
    LabelScores,
    Scores,
)
from shelfmark.models import artifact, confidence
from shelfmark.models.artifact import Model
from shelfmark.models.confidence import Answers
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

BATCH = 2048
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
    table = splits.read(split)
    report = build_report(
        model, splits, split, table, score_answers(predict_table(model, table), model)
    )
    if baselines:
        report.baselines = run_baselines(splits, table)
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
    model: Model, splits: Splits, split: str, table: pa.Table, scores: Scores
) -> EvaluationReport:
    """Return the report on a split, without baselines.

    Args:
        model: the model evaluated.
        splits: of the data it was trained on.
        split: name of the split.
        table: its papers.
        scores: of the model's answers to them.
    """
    return EvaluationReport(
        model=model.version,
        split=split,
        **provenance.stamp(),
        synthetic=splits.card["synthetic"],
        data_card_sha256=splits.digest,
        **dict(scores),
        telling_terms=find_telling_terms(model, table),
    )


def predict_table(model: Model, table: pa.Table) -> Answers:
    """Return the model's answers to the papers of a split, with the true labels."""
    parts = []
    texts, targets = table["text"].to_pylist(), model.targets
    with console.progress("predicting", len(texts)) as bar:
        for start in range(0, len(texts), BATCH):
            parts.append(model.probabilities(texts[start : start + BATCH]))
            bar.advance(len(parts[-1][0]))
    probabilities, lists = (np.concatenate(blocks) for blocks in zip(*parts, strict=True))
    return Answers(
        targets.classes,
        probabilities,
        targets.encode(table),
        targets.listed,
        lists,
        targets.membership(table),
        targets.label_sets(table),
    )


def score_answers(answers: Answers, model: Model) -> Scores:
    """Return all scores of answers, with the effect of the model's thresholds."""
    thresholds = model.card.limits
    limits = [thresholds.confident_from[label] for label in answers.classes]
    sure = confidence.confident(answers.probabilities, limits)
    right = answers.probabilities.argmax(axis=1) == answers.targets
    among = [name in names for name, names in zip(answers.given, answers.shelves, strict=True)]
    base = metrics.score_probabilities(
        answers.targets, answers.probabilities, list(answers.classes)
    )
    points = confidence.coverage(answers.targets, answers.probabilities)
    cross_lists: dict[str, float] = {}
    if thresholds.cross_lists_from is not None:
        cross_lists = confidence.list_figures(
            answers.lists, answers.membership, answers.others, thresholds.cross_lists_from
        )
    return Scores(
        **dict(base),
        among=float(np.mean(among)),
        confident_share=float(sure.mean()),
        confident_precision=float(right[sure].mean()) if sure.any() else None,
        coverage=[CoveragePoint(**point) for point in points],
        cross_lists_precision=cross_lists.get("precision"),
        cross_lists_recall=cross_lists.get("recall"),
    )


def run_baselines(splits: Splits, table: pa.Table) -> dict[str, LabelScores]:
    """Return the scores of the most frequent class and of a linear SVM on the same splits."""
    train = splits.read("train", ["text", "label"])
    labels = train["label"].to_pylist()
    frequent = Counter(labels).most_common(1)[0][0]
    vectorizer = FastTfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=200_000, dtype=np.float32
    )
    with console.progress("fitting the linear baseline", 2) as bar:
        known = vectorizer.fit_transform(train["text"].to_pylist())
        bar.advance()
        linear = LinearSVC(C=0.3, random_state=0).fit(known, labels)
        bar.advance()
    truth, texts = table["label"].to_pylist(), table["text"].to_pylist()
    answers = {
        "most frequent class": [frequent] * len(truth),
        "linear SVM": list(linear.predict(vectorizer.transform(texts))),
    }
    return {name: metrics.score_labels(truth, answer) for name, answer in answers.items()}


def find_telling_terms(model: Model, table: pa.Table) -> dict[str, list[tuple[str, float]]]:
    """Return, for each class, the words that push its own papers towards it most.

    A word's weight is the sum of its weights in the explanations of up to 400 papers of the split.
    """
    rows = _few_of_each(table["label"].to_pylist(), EXPLAINED_PAPERS)
    texts, labels = (table[column].take(rows).to_pylist() for column in ("text", "label"))
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
        charts=names,
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
