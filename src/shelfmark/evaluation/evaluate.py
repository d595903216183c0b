"""How good a model is on one split, beside two baselines: figures, a table and pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from loguru import logger
from sklearn.svm import LinearSVC

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.core import console, files, provenance
from shelfmark.core.tables import Table
from shelfmark.data.splits import Splits, open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import charts, metrics
from shelfmark.models import artifact, confidence
from shelfmark.models.artifact import Model
from shelfmark.models.confidence import Answers
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

BATCH = 2048
FIGURES = {
    "accuracy": "accuracy",
    "top3": "top-3",
    "top5": "top-5",
    "among": "among the paper's categories",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "confident_share": "coverage at threshold",
    "confident_precision": "selective accuracy",
    "cross_lists_precision": "cross-lists: precision",
    "cross_lists_recall": "cross-lists: recall",
}
TERMS_A_CLASS = 8
EXPLAINED_PAPERS = 400


def evaluate_model(
    model_folder: Path, reports: Path, split: str = "test", baselines: bool = True
) -> dict[str, Any]:
    """Measure an artifact on a split of the data it was trained on, and write the report.

    The report goes to `reports/<model>-<split>/`: metrics.json, README.md, the pictures.

    Raises:
        ShelfmarkError: the model or its splits are not there, or the report cannot be written.
    """
    model, splits = open_model_and_splits(model_folder)
    table = splits.read(split)
    report = build_report(
        model, splits, split, table, score_answers(predict_table(model, table), model)
    )
    if baselines:
        report["baselines"] = run_baselines(splits, table)
    write_report(report, reports)
    return report


def open_model_and_splits(model_folder: Path) -> tuple[Model, Splits]:
    """Open an artifact and the splits of the data it was trained on.

    Raises:
        ShelfmarkError: one is not there, or the splits are others.
    """
    model = artifact.load(model_folder)
    splits = open_splits(Path(model.card.data.folder))
    if splits.digest != model.card.data.card_sha256:
        raise ShelfmarkError(f"{splits.folder} is not the data {model.version} was trained on")
    return model, splits


def build_report(
    model: Model, splits: Splits, split: str, table: pa.Table, figures: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures of a split, the telling terms, and what they are about; no baselines."""
    return {
        "kind": "evaluation",
        "model": model.version,
        "split": split,
        **provenance.stamp(),
        "synthetic": splits.card["synthetic"],
        "data_card_sha256": splits.digest,
        **figures,
        "telling_terms": find_telling_terms(model, table),
        "baselines": {},
    }


def predict_table(model: Model, table: pa.Table) -> Answers:
    """Return what a model says of the papers of a split, in batches, beside what is true."""
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


def score_answers(answers: Answers, model: Model) -> dict[str, Any]:
    """Return all figures of answers: `metrics.score_probabilities`, and the thresholds' effect."""
    thresholds = model.card.limits
    limits = [thresholds.confident_from[label] for label in answers.classes]
    sure = confidence.confident(answers.probabilities, limits)
    right = answers.probabilities.argmax(axis=1) == answers.targets
    among = [name in names for name, names in zip(answers.given, answers.shelves, strict=True)]
    figures = metrics.score_probabilities(
        answers.targets, answers.probabilities, list(answers.classes)
    )
    figures |= {
        "among": float(np.mean(among)),
        "confident_share": float(sure.mean()),
        "confident_precision": float(right[sure].mean()) if sure.any() else None,
        "coverage": confidence.coverage(answers.targets, answers.probabilities),
    }
    if thresholds.cross_lists_from is not None:
        suggested = confidence.list_figures(
            answers.lists, answers.membership, answers.others, thresholds.cross_lists_from
        )
        figures |= {f"cross_lists_{name}": value for name, value in suggested.items()}
    return figures


def run_baselines(splits: Splits, table: pa.Table) -> dict[str, dict[str, float]]:
    """Return accuracy and F1 of the most frequent class and of a linear SVM on the same splits."""
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

    Their weights in the explanations of up to 400 papers of the split, added up.
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


def write_report(report: dict[str, Any], reports: Path) -> list[Path]:
    """Write metrics.json, pictures and a page to `reports/<model>-<split>`; return the pictures.

    Each is written whole or not at all.
    """
    folder = reports / f"{report['model']}-{report['split']}"
    folder.mkdir(parents=True, exist_ok=True)
    names = charts.draw_charts(report, folder)
    with files.atomic_write(folder / "metrics.json") as file:
        file.write(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    with files.atomic_write(folder / "README.md") as file:
        file.write(markdown(report, names).encode())
    logger.info("report: {}", folder / "README.md")
    return [folder / name for name in names]


def rows_of(report: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return a report's table: the models compared, and a row for each of `FIGURES`."""
    compared = {"this model": report, **report["baselines"]}
    rows = [
        [
            name,
            *(
                "" if figures.get(key) is None else f"{figures[key]:.4f}"
                for figures in compared.values()
            ),
        ]
        for key, name in FIGURES.items()
    ]
    return list(compared), rows


def markdown(report: dict[str, Any], names: list[str]) -> str:
    """Return the report as a Markdown page."""
    note = (
        " These papers are synthetic: the figures say nothing of real ones." * report["synthetic"]
    )
    compared, rows = rows_of(report)
    lines = [
        f"# {report['model']} on its {report['split']} split",
        "",
        f"{report['papers']:,} papers, {len(report['per_class'])} classes.{note}",
        "",
        f"| | {' | '.join(compared)} |",
        f"| --- |{' ---: |' * len(compared)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "| class | name | precision | recall | F1 | papers |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for label, row in report["per_class"].items():
        cells = (
            f"{row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['papers']:,}"
        )
        lines.append(f"| {label} | {full_name(label)} | {cells} |")
    lines += ["", *(f"![{name.removesuffix('.png')}]({name})\n" for name in names)]
    return "\n".join(lines)


def figures_table(report: dict[str, Any]) -> Table:
    """Return the table of a report: the figures of the model, beside those of the baselines."""
    title = f"{report['model']}: {report['papers']:,} papers of the {report['split']} split"
    compared, rows = rows_of(report)
    return Table(["", *compared], rows, title=title + " (synthetic)" * report["synthetic"])
