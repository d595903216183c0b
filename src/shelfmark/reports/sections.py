"""The sections of a report, as values that the template `report.md` lays out.

Every number of the page has a source. A mark, a comment that readers do not see, names the figures
that the numbers after it come from, up to the next mark or heading:
`<!-- from five-test five-test/per_class -->` stands for the top level of
`figures/five-test/metrics.json` and for all below its key `per_class`. In a table, the code in the
first cell of a row names the model, the key or the entry of that row, and the mark may name a key
for each column: `<!-- from five-test/per_class in - - precision recall -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.core.output.tables import Table
from shelfmark.data.splits import SPLITS
from shelfmark.evaluation.encoders.records import (
    COSTS,
    EncoderReport,
    describe_key,
    format_figure,
)
from shelfmark.monitoring.records import DriftReport
from shelfmark.reports.collect import Run, Runs

SOURCE_MARK = re.compile(
    r"<!-- from ((?:(?! in | -->|<!--).)*+)(?: in ((?:(?! -->|<!--).)*+))? -->"
)
NO_KEY = "-"  # of a column of words
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!$~&])")  # Table escapes the bar
SYNTHETIC = " (synthetic papers)"
LINEAR = "linear SVM"
AS_IS = "as_is"
SCORES = {
    "accuracy": "accuracy",
    "standard_error": "standard error",
    "top3": "top-3",
    "top5": "top-5",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "confident_share": "sure answers",
    "confident_precision": "right if sure",
}
PER_CLASS = {"precision": "precision", "recall": "recall", "f1": "F1", "papers": "papers"}
CONFUSED_PAIRS = {
    "one_for_other": "first predicted as second",
    "other_for_one": "second predicted as first",
    "share": "share of their papers",
}
DRIFT_TESTS = {
    "papers": "papers",
    "effect": "effect size",
    "threshold": "threshold",
    "adjusted": "adjusted p-value",
}
CHANGES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "abstained": "without a sure answer",
    "confident_precision": "right if sure",
}
YEARS = {"papers": "papers", **{key: CHANGES[key] for key in ("accuracy", "macro_f1", "abstained")}}
LOAD = {
    "requests_per_second": ("requests/s", ",.0f"),
    "papers_per_second": ("papers/s", ",.0f"),
    "p50_ms": ("p50 ms", ",.1f"),
    "p95_ms": ("p95 ms", ",.1f"),
    "p99_ms": ("p99 ms", ",.1f"),
    "errors": ("errors", ",d"),
    "memory_start_mb": ("MB at start", ",.0f"),
    "memory_end_mb": ("MB at end", ",.0f"),
}


@dataclass(frozen=True)
class FigureTable:
    """A table, and the figures that its numbers come from.

    Args:
        table: its cells, in Markdown.
        sources: paths of figures, such as `five-test/per_class`.
        keys: the key of each column in those figures, or `NO_KEY`.
    """

    table: Table
    sources: Sequence[str]
    keys: Sequence[str]


@dataclass(frozen=True)
class DataSection:
    """The splits that models were trained and evaluated on."""

    run: Run
    files: FigureTable | None
    dropped: FigureTable | None
    splits: FigureTable
    labels: FigureTable


@dataclass(frozen=True)
class ErrorSection:
    """The errors of one model: its classes, and the pairs that it confuses most."""

    run: Run
    classes: FigureTable
    pairs: FigureTable | None


@dataclass(frozen=True)
class DriftSection:
    """The newest comparison with new papers: its verdict, what changed, and all tests."""

    run: Run
    headline: str
    changed: FigureTable | None
    tests: FigureTable


@dataclass(frozen=True)
class RobustnessSection:
    """The accuracy of one model on changed papers, and on papers of later years."""

    run: Run
    changes: FigureTable
    years: FigureTable | None


@dataclass(frozen=True)
class LoadSection:
    """The service under load: its phases, and the budgets that it has to keep."""

    run: Run
    phases: FigureTable
    budgets: FigureTable


@dataclass(frozen=True)
class EncoderSection:
    """Encoders and baselines on the same papers: how well they retrieve, and how fast."""

    run: Run
    figures: FigureTable


def code(text: str) -> str:
    """Return a name as Markdown code, whatever its characters."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def escape(text: str) -> str:
    """Return text with every special character of Markdown escaped."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def describe_data(run: Run) -> DataSection:
    """Return the section on splits."""
    card = run.figures
    dropped = [[code(reason), f"{count:,}"] for reason, count in card["dropped"].items()]
    splits = [[code(split), f"{card['splits'][split]:,}"] for split in SPLITS]
    added = card.get("config", {}).get("categories")
    labels = sorted({label for counts in card["labels"].values() for label in counts})
    rows = [
        [
            code(label),
            full_name(label, added),
            *(f"{card['labels'][x].get(label, 0):,}" for x in SPLITS),
        ]
        for label in labels
    ]
    papers = {NO_KEY: "papers"}
    files = [
        [code(one["file"]), f"{one['read']:,}", f"{one['kept']:,}"]
        for one in card.get("sources", [])
    ]
    heads = {"read": "records", "kept": "kept"}
    return DataSection(
        run,
        _table([f"{run.name}/sources"], ["file"], heads, files) if files else None,
        _table([f"{run.name}/dropped"], ["dropped"], papers, dropped) if dropped else None,
        _table([f"{run.name}/splits"], ["split"], papers, splits),
        _table([f"{run.name}/labels"], ["label", "name"], {x: x for x in SPLITS}, rows),
    )


def compare_models(runs: Runs) -> FigureTable:
    """Return the table with a row for each model, and one for the linear baseline beside it."""
    rows, sources = [], []
    for run in runs.evaluations:
        figures, training = run.figures, runs.trainings.get(run.model)
        seconds = training.figures["seconds"].get("total") if training else None
        scores = [_number(figures.get(key)) for key in SCORES]
        name = code(run.model) + SYNTHETIC * run.synthetic
        rows.append([name, f"{figures['papers']:,}", *scores, _number(seconds, ",.0f")])
        sources += [run.name, *([f"{training.name}/seconds"] if training else [])]
        if (linear := figures["baselines"].get(LINEAR)) is not None:
            scores = [_number(linear.get(key)) for key in SCORES]
            rows.append([f"{code(LINEAR)}, baseline of {code(run.model)}", "", *scores, ""])
            sources.append(f"{run.name}/baselines")
    heads = {"papers": "papers", **SCORES, "total": "seconds to train"}
    return _table(sources, ["model"], heads, rows)


def describe_errors(run: Run) -> ErrorSection:
    """Return the section on the errors of a model."""
    classes = [
        [code(label), full_name(label), *(f"{one[x]:.3f}" for x in ("precision", "recall", "f1")),
         f"{one['papers']:,}"]
        for label, one in run.figures["per_class"].items()
    ]  # fmt: skip
    pairs = [
        [f"{code(pair['one'])}, {code(pair['other'])}", f"{pair['one_for_other']:,}",
         f"{pair['other_for_one']:,}", f"{pair['share']:.3f}"]
        for pair in run.figures.get("confused", [])
    ]  # fmt: skip
    return ErrorSection(
        run,
        _table([f"{run.name}/per_class"], ["class", "name"], PER_CLASS, classes),
        _table([f"{run.name}/confused"], ["pair"], CONFUSED_PAIRS, pairs) if pairs else None,
    )


def describe_drift(run: Run) -> DriftSection:
    """Return the section on a comparison with new papers."""
    words = next((test["words"] for test in run.figures["tests"] if test["words"]), None)
    report = DriftReport.model_validate({**run.figures, "words": words})
    changed = [[code(test.title), escape(test.sentence(report.words))] for test in report.alarms]
    rows = [
        [code(test.title), test.status, f"{test.papers:,}", _number(test.effect, ".3f"),
         f"{test.threshold:g}", _number(test.adjusted, ".2g")]
        for test in report.tests
    ]  # fmt: skip
    sources = [f"{run.name}/tests"]
    return DriftSection(
        run,
        escape(report.headline()),
        _table(sources, ["changed", "how"], {}, changed) if changed else None,
        _table(sources, ["test", "verdict"], DRIFT_TESTS, rows),
    )


def describe_robustness(run: Run) -> RobustnessSection:
    """Return the section on changed papers and on papers of later years."""
    figures = run.figures
    every = {AS_IS: figures.get(AS_IS), **(figures.get("changes") or {})}
    changes = [
        [code(name), *(_number(one.get(key)) for key in CHANGES), _difference(one)]
        for name, one in every.items()
        if one is not None
    ]
    years = [
        [f"{code(trained)}, {code(tested)}", f"{one['papers']:,}",
         *(_number(one.get(key)) for key in list(YEARS)[1:])]
        for trained, by_year in (figures.get("years") or {}).items()
        for tested, one in by_year.items()
    ]  # fmt: skip
    sources = [run.name, f"{run.name}/changes"]
    heads = {**CHANGES, "difference": "difference in accuracy (interval)"}
    words = ["trained up to, tested on"]
    return RobustnessSection(
        run,
        _table(sources, ["change"], heads, changes),
        _table([f"{run.name}/years"], words, YEARS, years) if years else None,
    )


def describe_load(run: Run) -> LoadSection:
    """Return the section on a load test."""
    figures = run.figures
    phases = [
        [code(name), *(_number(one.get(key), form) for key, (_, form) in LOAD.items())]
        for name, one in figures["phases"].items()
    ]
    budgets = [
        [code(name), "met" if one["met"] else "**not met**", _number(one["value"], ".3g"),
         f"{one['side']} {one['limit']:g}"]
        for name, one in figures["budgets"].items()
    ]  # fmt: skip
    heads = {key: name for key, (name, _) in LOAD.items()}
    limits = {"value": "measured", "limit": "budget"}
    return LoadSection(
        run,
        _table([f"{run.name}/phases"], ["phase"], heads, phases),
        _table([f"{run.name}/budgets"], ["metric", "result"], limits, budgets),
    )


def describe_encoders(run: Run) -> EncoderSection:
    """Return the section on encoders: a row for each figure, a column for each encoder."""
    report = EncoderReport.model_validate(run.figures)
    rows = []
    for key in report.titles():
        size = report.tasks.get(key)
        counts = [f"{size.queries:,}", f"{size.pool:,}"] if size else ["", ""]
        cells = [format_figure(key, figures.get(key)) for figures in report.figures.values()]
        rows.append([code(key), _name_metric(key), *counts, *cells])
    heads = {"queries": "queries", "pool": "pool"} | {name: code(name) for name in report.figures}
    sources = [f"{run.name}/tasks", f"{run.name}/figures"]
    return EncoderSection(run, _table(sources, ["figure", "what it is"], heads, rows))


def _name_metric(key: str) -> str:
    """Return the name of a figure for people; the metric is code, for its digits are no figure."""
    task, comma, metric = describe_key(key).rpartition(", ")
    return f"{task}, {code(metric)}" if comma and key not in COSTS else escape(describe_key(key))


def _table(
    sources: Sequence[str],
    words: Sequence[str],
    numbers: Mapping[str, str],
    rows: Iterable[Sequence[str]],
) -> FigureTable:
    """Return a table of words, under their heads, and of numbers, by their keys and heads."""
    table = Table([*words, *numbers.values()], list(rows), text_columns=len(words))
    return FigureTable(table, sources, [NO_KEY] * len(words) + list(numbers))


def _number(value: float | None, form: str = ".4f") -> str:
    return "" if value is None else format(value, form)


def _difference(change: dict[str, Any]) -> str:
    """Return how a change moves the accuracy, with its interval if there is one."""
    difference = (change.get("difference") or {}).get("accuracy")
    if not isinstance(difference, dict):
        return _number(difference, "+.3f")
    return f"{difference['value']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"
