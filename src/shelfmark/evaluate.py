"""How good a model is on one split, beside two baselines: figures, a table and pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import xgboost
from loguru import logger
from rich.table import Table
from sklearn.svm import LinearSVC

from shelfmark import artifact, console, features, files, metrics, pictures
from shelfmark.artifact import Model
from shelfmark.errors import ShelfmarkError
from shelfmark.splits import Splits, open_splits
from shelfmark.taxonomy import full_name
from shelfmark.vectorizer import FastTfidfVectorizer

BATCH = 2048
FIGURES = {
    "accuracy": "accuracy",
    "top3": "top-3",
    "top5": "top-5",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}
TERMS_A_CLASS = 8
EXPLAINED_PAPERS = 400
EXPLAINED_AT_ONCE = 16  # contributions are dense: papers x classes x terms


def evaluate(
    model_folder: Path, reports: Path, split: str = "test", baselines: bool = True
) -> dict[str, Any]:
    """Measure an artifact on a split of the data it was trained on, and write the report.

    The report goes to `reports/<model>-<split>/`: metrics.json, README.md, four pictures.

    Raises:
        ShelfmarkError: the model or its splits are not there, or the report cannot be written.
    """
    model = artifact.load(model_folder)
    splits = open_splits(Path(model.card["data"]["folder"]))
    if splits.digest != model.card["data"]["card_sha256"]:
        raise ShelfmarkError(f"{splits.folder} is not the data {model.version} was trained on")
    table = splits.read(split)
    probabilities = predict_all(model, table["text"].to_pylist())
    figures = metrics.score(table["label"].to_pylist(), probabilities, model.classes)
    report = {
        "model": model.version,
        "split": split,
        "synthetic": splits.card["synthetic"],
        "data_card_sha256": splits.digest,
        **figures,
        "telling_terms": telling_terms(model, table),
        "baselines": run_baselines(splits, table) if baselines else {},
    }
    folder = reports / f"{model.version}-{split}"
    write_report(report, folder)
    logger.info("report: {}", folder / "README.md")
    return report


def predict_all(model: Model, texts: list[str]) -> metrics.Probabilities:
    """Return the probabilities of many cleaned texts, shape (texts, classes), in batches."""
    parts = []
    with console.progress("predicting", len(texts)) as bar:
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            parts.append(model.probabilities(part))
            bar.advance(len(part))
    return np.concatenate(parts)


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
    return {name: metrics.score_answers(truth, answer) for name, answer in answers.items()}


def telling_terms(model: Model, table: pa.Table) -> dict[str, list[tuple[str, float]]]:
    """Return, for each class, the terms that push its own papers towards it most.

    The push of a term is its share of the linear model's margin or, without one, XGBoost's
    contribution to the class's margin by its quick path-wise estimate, summed over up to 400
    papers of the split.
    """
    steps = model.pipeline.steps[:-1]
    rows = _few_of_each(table["label"].to_pylist(), EXPLAINED_PAPERS)
    texts, labels = (table[column].take(rows).to_pylist() for column in ("text", "label"))
    linear = dict(steps[1][1].transformer_list).get("linear")
    if linear is not None:
        names = steps[0][1].get_feature_names_out()
        pushes = _linear_pushes(steps[0][1].transform(texts), linear.linear_.coef_, labels, model)
    else:
        names = features.names(steps)
        pushes = _tree_pushes(features.transform(steps, texts), labels, model)
    return {
        label: [
            (str(names[i]), float(push[i]))
            for i in np.argsort(-push)[:TERMS_A_CLASS]
            if push[i] > 0
        ]
        for label, push in zip(model.classes, pushes, strict=True)
    }


def _linear_pushes(words: Any, weights: Any, labels: list[str], model: Model) -> Any:
    weights = np.vstack([-weights, weights]) if len(weights) == 1 else weights
    answers = np.array(labels)
    totals = [np.asarray(words[answers == label].sum(axis=0)).ravel() for label in model.classes]
    return np.array(totals) * weights


def _tree_pushes(found: Any, labels: list[str], model: Model) -> Any:
    booster = model.pipeline[-1].get_booster()
    pushes = np.zeros((len(model.classes), found.shape[1]))
    for start in range(0, len(labels), EXPLAINED_AT_ONCE):
        part = found[start : start + EXPLAINED_AT_ONCE]
        given = booster.predict(xgboost.DMatrix(part), pred_contribs=True, approx_contribs=True)
        if given.ndim == 2:  # two classes share one margin, which speaks for the second
            given = np.stack([-given, given], axis=1)
        for row, label in enumerate(labels[start : start + EXPLAINED_AT_ONCE]):
            if label in model.classes:
                number, present = model.classes.index(label), part[row].indices
                pushes[number, present] += given[row, number, present]
    return pushes


def _few_of_each(labels: list[str], total: int) -> list[int]:
    each = max(1, total // max(1, len(set(labels))))
    seen: Counter[str] = Counter()
    rows = []
    for row, label in enumerate(labels):
        seen[label] += 1
        if seen[label] <= each:
            rows.append(row)
    return rows


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Write metrics.json, the pictures and the Markdown page, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    names = pictures.draw_all(report, folder)
    with files.file_aside(folder / "metrics.json") as file:
        file.write(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    with files.file_aside(folder / "README.md") as file:
        file.write(markdown(report, names).encode())


def rows_of(report: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return a report's table: the models compared, and a row for each of `FIGURES`."""
    compared = {"this model": report, **report["baselines"]}
    rows = [
        [name, *(f"{figures[key]:.4f}" if key in figures else "" for figures in compared.values())]
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


def show(report: dict[str, Any]) -> None:
    """Print the report's table on standard output."""
    title = f"{report['model']}: {report['papers']:,} papers of the {report['split']} split"
    compared, rows = rows_of(report)
    table = Table(title=title + " (synthetic)" * report["synthetic"], title_justify="left")
    table.add_column("")
    for name in compared:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    console.STDOUT.print(table)
