"""The figures of a model's predictions on a sample, and the effect of a change on them.

The records are those of a report's `metrics.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import pyarrow as pa

from shelfmark.core import console
from shelfmark.core.arrays import Ints
from shelfmark.evaluation import metrics
from shelfmark.evaluation.predicting import BATCH
from shelfmark.experiments.robustness.changes import Paper
from shelfmark.models import answers
from shelfmark.models.artifact import Model

FigureName = Literal["accuracy", "macro_f1", "abstained", "confident_precision"]
FIGURES: tuple[FigureName, ...] = ("accuracy", "macro_f1", "abstained", "confident_precision")
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percentiles


class Figures(TypedDict):
    """The figures of a sample; `confident_precision` is None if no answer is confident."""

    accuracy: float
    macro_f1: float
    abstained: float
    confident_precision: float | None


class Interval(TypedDict):
    """A difference with its 95 % interval."""

    value: float
    low: float
    high: float


class ClassFigures(TypedDict):
    """The figures of one class."""

    recall: float
    f1: float
    papers: int


class SampleFigures(Figures):
    """The figures of a sample and of each class in it."""

    classes: dict[str, ClassFigures]


class RivalShares(TypedDict):
    """The share of papers predicted as the class whose keywords were added."""

    before: float
    after: float
    confidently: float


class LanguageShares(TypedDict):
    """The share of words replaced, and of papers that the log marks as not English."""

    words: float
    marked_before: float
    marked_after: float


class ChangeFigures(SampleFigures):
    """The figures of changed papers beside those of the same papers unchanged.

    `touched` is the share of papers that the change alters at all; a difference is None if one
    side has no such figure.
    """

    difference: dict[FigureName, Interval | None]
    touched: float
    moved: NotRequired[RivalShares]
    language: NotRequired[LanguageShares]


class YearFigures(Figures):
    """The figures of papers of one year."""

    papers: int


class Years(TypedDict):
    """The figures of models of earlier years, by the last year of training.

    Each model's figures are by the year of the tested papers; years_trained holds the number of
    papers each model was trained on, years_left_out the reason that one is missing.
    """

    years: dict[str, dict[str, YearFigures]]
    years_trained: dict[str, int]
    years_left_out: dict[str, str]


class Report(TypedDict):
    """The content of a robustness report; `years` is None if no years were asked for.

    `promised` is the share of the sure answers that is to be right; older reports lack it.
    """

    kind: str
    model: str
    split: str
    synthetic: bool
    papers: int
    seed: int
    command: str
    created: str
    promised: NotRequired[float]
    as_is: SampleFigures
    changes: dict[str, ChangeFigures]
    years: dict[str, dict[str, YearFigures]] | None
    years_trained: NotRequired[dict[str, int]]
    years_left_out: NotRequired[dict[str, str]]


@dataclass(frozen=True)
class Predictions:
    """A model's answers for the papers of a sample.

    Args:
        labels: the number of each predicted label, shape (papers,).
        confident: whether each answer is confident, shape (papers,).
    """

    labels: Ints
    confident: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Sample:
    """Papers to measure on, with their true labels.

    Args:
        names: the labels: the model's classes, then the labels that only the papers have.
        papers: title and abstract of each.
        truth: the number of each paper's label among the names, shape (papers,).
    """

    names: list[str]
    papers: list[Paper]
    truth: Ints


def make_sample(model: Model, table: pa.Table) -> Sample:
    """Return the papers of a table, as a user would give them, with their true labels."""
    labels = table["label"].to_pylist()
    names = [*model.classes, *sorted(set(labels) - set(model.classes))]
    index = {name: number for number, name in enumerate(names)}
    papers = list(zip(table["title"].to_pylist(), table["abstract"].to_pylist(), strict=True))
    return Sample(names, papers, np.array([index[label] for label in labels], np.int64))


def predict_papers(
    model: Model, sample: Sample, papers: Sequence[Paper], bar: console.Bar
) -> Predictions:
    """Predict papers as the service does, as labels of a sample."""
    index = {name: number for number, name in enumerate(sample.names)}
    labels, confident = [], []
    for start in range(0, len(papers), BATCH):
        part = answers.answer_papers(model, papers[start : start + BATCH], top_k=1)
        labels += [index[answer.category] for answer in part]
        confident += [answer.confident for answer in part]
        bar.advance(len(part))
    return Predictions(np.array(labels, np.int64), np.array(confident, np.bool_))


def score(sample: Sample, predictions: Predictions, rows: Ints | None = None) -> Figures:
    """Return the figures of some rows of a sample, by default of all."""
    truth, labels, confident = sample.truth, predictions.labels, predictions.confident
    if rows is not None:
        truth, labels, confident = truth[rows], labels[rows], confident[rows]
    right = truth == labels
    return {
        "accuracy": float(right.mean()),
        "macro_f1": metrics.macro_f1(truth, labels, len(sample.names)),
        "abstained": float(1 - confident.mean()),
        "confident_precision": float(right[confident].mean()) if confident.any() else None,
    }


def score_classes(sample: Sample, predictions: Predictions) -> dict[str, ClassFigures]:
    """Return the figures of each label that has papers in the sample."""
    scores = metrics.label_metrics(sample.truth, predictions.labels, len(sample.names))
    return {
        name: {"recall": float(scores["recall"][number]), "f1": float(scores["f1"][number]),
               "papers": int(scores["papers"][number])}
        for number, name in enumerate(sample.names) if scores["papers"][number]
    }  # fmt: skip


def resample_rows(sample: Sample, seed: int) -> Iterator[Ints]:
    """Yield the rows of each bootstrap sample, the same for every change."""
    for number in range(RESAMPLES):
        rng = np.random.default_rng([seed, number])
        yield rng.integers(0, len(sample.truth), len(sample.truth))


def compare(
    sample: Sample,
    before: Predictions,
    after: Predictions,
    seed: int,
    resampled: list[Figures],
) -> dict[FigureName, Interval | None]:
    """Return the effect of a change on each figure, with a 95 % interval.

    The interval is that of the paired bootstrap: both sides share the same resampled papers.

    Args:
        sample: the papers.
        before: predictions of the unchanged papers.
        after: predictions of the changed papers.
        seed: of the bootstrap samples.
        resampled: the figures of `before` in each bootstrap sample.

    Returns:
        The difference of each figure; None if one side has no such figure.
    """
    old, new = score(sample, before), score(sample, after)
    pairs = zip(resampled, resample_rows(sample, seed), strict=True)
    spread = [(figures, score(sample, after, rows)) for figures, rows in pairs]
    return {name: _interval(old[name], new[name], name, spread) for name in FIGURES}


def _interval(
    old: float | None,
    new: float | None,
    name: FigureName,
    spread: list[tuple[Figures, Figures]],
) -> Interval | None:
    if old is None or new is None:
        return None
    differences = [
        b - a
        for a, b in ((first[name], second[name]) for first, second in spread)
        if a is not None and b is not None
    ]
    low, high = np.percentile(differences, INTERVAL)
    return {"value": new - old, "low": float(low), "high": float(high)}
