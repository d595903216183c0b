"""Figures of what a model said of papers, and of how far a change moves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from shelfmark.core import console
from shelfmark.core.arrays import Ints
from shelfmark.evaluation import evaluate, metrics
from shelfmark.experiments.robustness.changes import Paper
from shelfmark.models import answers
from shelfmark.models.artifact import Model

FIGURES = ("accuracy", "macro_f1", "abstained", "confident_precision")
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Told:
    """What a model said of papers.

    Args:
        given: the number of each paper's label.
        sure: whether the answer is confident.
    """

    given: Ints
    sure: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Sample:
    """Papers to measure on, and what is true of them.

    Args:
        names: the labels: the model's classes, then those of the papers that it does not know.
        papers: title and abstract of each.
        truth: the number of each paper's label among the names.
    """

    names: list[str]
    papers: list[Paper]
    truth: Ints


def sample_of(model: Model, table: pa.Table) -> Sample:
    """Return the papers of a table, as a user would give them, and what is true of them."""
    labels = table["label"].to_pylist()
    names = [*model.classes, *sorted(set(labels) - set(model.classes))]
    place = {name: number for number, name in enumerate(names)}
    papers = list(zip(table["title"].to_pylist(), table["abstract"].to_pylist(), strict=True))
    return Sample(names, papers, np.array([place[label] for label in labels], np.int64))


def answer(model: Model, sample: Sample, papers: Sequence[Paper], bar: console.Bar) -> Told:
    """Answer papers as a user is answered."""
    place = {name: number for number, name in enumerate(sample.names)}
    given, sure = [], []
    for start in range(0, len(papers), evaluate.BATCH):
        part = answers.answer_papers(model, papers[start : start + evaluate.BATCH], top_k=1)
        given += [place[one.category] for one in part]
        sure += [one.confident for one in part]
        bar.advance(len(part))
    return Told(np.array(given, np.int64), np.array(sure, np.bool_))


def figures(sample: Sample, told: Told, rows: Ints | None = None) -> dict[str, float | None]:
    """Return the `FIGURES` of some of the papers, of all when not given.

    `confident_precision` is None where no answer is confident.
    """
    truth, given, sure = sample.truth, told.given, told.sure
    if rows is not None:
        truth, given, sure = truth[rows], given[rows], sure[rows]
    right = truth == given
    return {
        "accuracy": float(right.mean()),
        "macro_f1": metrics.macro_f1(truth, given, len(sample.names)),
        "abstained": float(1 - sure.mean()),
        "confident_precision": float(right[sure].mean()) if sure.any() else None,
    }


def draws(sample: Sample, seed: int) -> Iterator[Ints]:
    """Yield rows drawn with replacement, as many as there are papers, the same for every change."""
    for number in range(RESAMPLES):
        chance = np.random.default_rng([seed, number])
        yield chance.integers(0, len(sample.truth), len(sample.truth))


def differences(
    sample: Sample,
    before: Told,
    after: Told,
    seed: int,
    resampled: list[dict[str, float | None]],
) -> dict[str, dict[str, float] | None]:
    """Return what a change does to each figure, with a 95 % interval.

    The interval is the paired bootstrap's: the same papers are drawn for both sides.

    Args:
        sample: the papers.
        before: the answers to them as they are.
        after: the answers to them changed.
        seed: of the draws.
        resampled: the figures of `before` in each draw.

    Returns:
        For each of `FIGURES` value, low and high; None where a side has no such figure.
    """
    sides = figures(sample, before), figures(sample, after)
    pairs = zip(resampled, draws(sample, seed), strict=True)
    spread = [(one, figures(sample, after, rows)) for one, rows in pairs]
    found: dict[str, dict[str, float] | None] = {}
    for name in FIGURES:
        old, new = sides[0][name], sides[1][name]
        if old is None or new is None:
            found[name] = None
            continue
        apart = [b - a for a, b in ((x[name], y[name]) for x, y in spread)
                 if a is not None and b is not None]  # fmt: skip
        low, high = np.percentile(apart, INTERVAL)
        found[name] = {"value": new - old, "low": float(low), "high": float(high)}
    return found


def by_class(sample: Sample, told: Told) -> dict[str, dict[str, float]]:
    """Return recall, F1 and the number of papers of each label that is there."""
    found = metrics.label_metrics(sample.truth, told.given, len(sample.names))
    return {
        name: {"recall": float(found["recall"][number]), "f1": float(found["f1"][number]),
               "papers": int(found["papers"][number])}
        for number, name in enumerate(sample.names) if found["papers"][number]
    }  # fmt: skip
