"""Charts of an evaluation, readable for five classes or 150."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shelfmark.core import files
from shelfmark.evaluation.records import (
    ClassScores,
    CoveragePoint,
    EvaluationReport,
    Promise,
    ReliabilityBin,
    StrangerScores,
    SuggestionBin,
)

INK, SOFT, ACCENT = "#1f2933", "#d9dee4", "#2b6cb0"
SECOND, ALARM = "#2f855a", "#c53030"
CELLS_WITH_NUMBERS = 20  # more classes than this, and colour alone is readable
# Of the PNG standard's keywords.
RUN, CREATED = "Source", "Creation Time"
ROWS_A_COLUMN = 50
# Margins in inches: fixed, because measuring 150 labels to lay them out takes seconds.
LEFT, RIGHT, BOTTOM, TOP = 1.5, 0.2, 0.5, 0.5


def _figure(width: float, height: float, bottom: float = BOTTOM, left: float = LEFT) -> Figure:
    """Return a figure whose drawing area has so many inches, with room for labels around it."""
    whole_width, whole_height = left + width + RIGHT, bottom + height + TOP
    figure = Figure(figsize=(whole_width, whole_height))
    figure.subplots_adjust(
        left=left / whole_width,
        right=1 - RIGHT / whole_width,
        bottom=bottom / whole_height,
        top=1 - TOP / whole_height,
        wspace=0.45,
    )
    return figure


def draw_confusion(matrix: list[list[int]], classes: list[str]) -> Figure:
    """Draw the confusion matrix, each true class as shares of its papers."""
    counts = np.array(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(classes) <= CELLS_WITH_NUMBERS
    side = max(3.0, (0.75 if few else 0.14) * len(classes))
    figure = _figure(side, side, bottom=1.8)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = 10 if few else 6
    axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=size)
    axes.set_yticks(range(len(classes)), classes, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title("Where each class went, share of its papers", color=INK)
    if few:
        for (row, column), share in np.ndenumerate(shares):
            if counts[row, column]:
                colour = "white" if share > 0.5 else INK
                text = f"{share:.0%}\n{counts[row, column]}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    return figure


def draw_class_f1(per_class: dict[str, ClassScores]) -> Figure:
    """Draw the F1 of each class, best first, with how many papers it had."""
    rows = sorted(per_class.items(), key=lambda item: -item[1].f1)
    columns = math.ceil(len(rows) / ROWS_A_COLUMN)
    tallest = math.ceil(len(rows) / columns)
    figure = _figure(4.8 * columns, max(1.0, 0.24 * tallest))
    grid = np.atleast_1d(figure.subplots(1, columns))
    for number, axes in enumerate(grid):
        part = rows[number * tallest : (number + 1) * tallest]
        places = np.arange(len(part))
        values = [scores.f1 for _, scores in part]
        axes.barh(places, values, color=ACCENT, height=0.7)
        axes.set_yticks(places, [label for label, _ in part], fontsize=8)
        for place, (_, scores) in zip(places, part, strict=True):
            note = f"{scores.f1:.2f}  ({scores.papers:,})"
            axes.text(scores.f1 + 0.01, place, note, va="center", fontsize=7, color=INK)
        axes.set_xlim(0, 1.25)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.set_ylim(tallest - 0.4, -0.6)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_title("F1 of each class (papers)", color=INK)
    return figure


def draw_reliability(rows: list[ReliabilityBin], error: float) -> Figure:
    """Draw the accuracy at each confidence; the diagonal is perfect calibration."""
    figure = _figure(4.0, 4.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=2)
    confidence = [row.confidence for row in rows]
    sizes = [20 + 600 * row.share for row in rows]
    axes.plot(confidence, [row.accuracy for row in rows], color=ACCENT, linewidth=1)
    axes.scatter(confidence, [row.accuracy for row in rows], s=sizes, color=ACCENT, alpha=0.7)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="share that was right")
    axes.set_title(
        f"Reliability: calibration error {error:.3f}\n(dots grow with papers)", color=INK
    )
    return figure


def draw_coverage(report: EvaluationReport) -> Figure:
    """Draw the precision of the best answers for each share of papers answered.

    One curve answers by the estimates of the verdicts, one by a limit common to all classes, and
    one counts every category of a paper as right. The dots are the sure answers.
    """
    figure = _figure(4.6, 4.0)
    axes = figure.subplots()
    _draw_curve(axes, report.coverage, SOFT, "one limit of the probability, primary")
    _draw_curve(axes, report.graded, ACCENT, "verdicts, primary category")
    _draw_curve(axes, report.listed, SECOND, "verdicts, any category of the paper")
    dots = ((report.confident_share, report.confident_precision, ACCENT),
            (report.listed_share, report.listed_precision, SECOND))  # fmt: skip
    for share, precision, colour in dots:
        if share is not None and precision is not None:
            axes.scatter([share], [precision], s=60, color=colour, zorder=3)
            note = f"sure: {share:.0%}, {precision:.1%} right"
            axes.annotate(note, (share, precision), (6, 6), textcoords="offset points", fontsize=7)
    every = [*report.coverage, *report.graded, *report.listed]
    lowest = min(row.precision for row in every)
    axes.set(xlim=(0, 1.02), ylim=(max(0, lowest - 0.1), 1.04), ylabel="share that was right")
    axes.set_xlabel("share of papers answered, the best answers first")
    axes.set_title("Precision against coverage", color=INK)
    axes.legend(fontsize=7, loc="lower left", frameon=False)
    return figure


def _draw_curve(axes: Axes, rows: list[CoveragePoint], colour: str, label: str) -> None:
    if rows:
        points = [row.coverage for row in rows], [row.precision for row in rows]
        axes.plot(*points, color=colour, label=label, linewidth=2)


def draw_promises(promises: list[Promise]) -> Figure:
    """Draw what each verdict promises beside what it kept, in shares of right answers."""
    rows = [promise for promise in promises if promise.kept is not None]
    figure = _figure(4.6, max(1.0, 0.7 * len(rows)), bottom=0.8)
    axes = figure.subplots()
    places = np.arange(len(rows))
    axes.barh(places - 0.18, [row.promised for row in rows], 0.34, color=SOFT, label="promised")
    axes.barh(places + 0.18, [row.kept or 0 for row in rows], 0.34, color=ACCENT, label="kept")
    for place, row in zip(places, rows, strict=True):
        note = f"{row.kept:.1%} of {row.share:.0%} of papers"
        axes.text(0.02, place + 0.18, note, va="center", fontsize=8, color="white")
        axes.text(0.02, place - 0.18, f"{row.promised:.0%}", va="center", fontsize=8, color=INK)
    names = {"primary": "primary", "listed": "any category"}
    axes.set_yticks(places, [f"{row.verdict}:\n{names[row.question]}" for row in rows], fontsize=8)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Promised and kept", color=INK)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False)
    return figure


def draw_suggestions(rows: list[SuggestionBin]) -> Figure:
    """Draw how often suggested cross-lists came true; the diagonal is perfect calibration."""
    figure = _figure(4.0, 4.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=2)
    promised, kept = [row.promised for row in rows], [row.kept for row in rows]
    axes.plot(promised, kept, color=ACCENT, linewidth=1, marker="o")
    for row in rows:
        place = row.promised, row.kept
        axes.annotate(
            f"{row.suggestions:,}", place, (5, -9), textcoords="offset points", fontsize=7
        )
    axes.set(
        xlim=(0, 1), ylim=(0, 1.02), xlabel="stated probability", ylabel="share that came true"
    )
    axes.set_title("Cross-lists: promised and kept (suggestions)", color=INK)
    return figure


def draw_strangers(rows: list[StrangerScores]) -> Figure:
    """Draw what the model says of texts that are none of its papers, as shares of each kind."""
    figure = _figure(4.6, max(1.0, 0.4 * len(rows)), bottom=0.8, left=2.1)
    axes = figure.subplots()
    places = np.arange(len(rows))
    parts = {
        "outside": ([row.outside for row in rows], SOFT),
        "doubtful": ([row.doubtful for row in rows], "#9fb3c8"),
        "in scope, not sure": ([1 - row.outside - row.doubtful - row.sure for row in rows], SECOND),
        "sure": ([row.sure for row in rows], ALARM),
    }
    start = np.zeros(len(rows))
    for label, (shares, colour) in parts.items():
        axes.barh(places, shares, left=start, height=0.7, color=colour, label=label)
        start += np.array(shares)
    for place, row in enumerate(rows):
        axes.text(1.01, place, f"{row.sure:.2%} sure", va="center", fontsize=7, color=INK)
    axes.set_yticks(places, [f"{row.kind}\n({row.papers:,})" for row in rows], fontsize=7)
    axes.set_xlim(0, 1.2)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Texts that are none of the model’s papers", color=INK)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.4, -0.08), ncols=4, frameon=False)
    return figure


def draw_telling_terms(terms: dict[str, list[tuple[str, float]]]) -> Figure:
    """Draw, for each class, the terms that pushed its papers towards it, darker for stronger."""
    longest = max((len(row) for row in terms.values()), default=0)
    figure = _figure(max(3.0, 1.6 * longest), 0.3 * len(terms), bottom=0.2)
    axes = figure.subplots()
    strengths = np.zeros((len(terms), max(longest, 1)))
    for row, found in enumerate(terms.values()):
        for column, (_, weight) in enumerate(found):
            strengths[row, column] = weight / found[0][1]
    axes.imshow(strengths, cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for row, found in enumerate(terms.values()):
        for column, (term, _) in enumerate(found):
            colour = "white" if strengths[row, column] > 0.75 else INK
            axes.text(column, row, term[:22], ha="center", va="center", fontsize=8, color=colour)
    axes.set_yticks(range(len(terms)), list(terms), fontsize=8)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.set_title("Most telling terms of each class, strongest first", color=INK)
    return figure


def save_figure(figure: Figure, path: Path, run: str, created: str) -> None:
    """Write a chart whose metadata names the run and the time of its figures.

    Unlike the time of the file, they survive a copy.

    Raises:
        ShelfmarkError: the disk is full, or the file cannot be written; an older one is unchanged.
    """
    with files.atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120, metadata={RUN: run, CREATED: created})


def draw_charts(report: EvaluationReport, folder: Path) -> list[str]:
    """Draw every chart of an evaluation into its folder and return the file names."""
    drawings: dict[str, Callable[[], Figure]] = {
        "confusion": lambda: draw_confusion(report.confusion, list(report.per_class)),
        "class_f1": lambda: draw_class_f1(report.per_class),
        "reliability": lambda: draw_reliability(report.reliability, report.calibration_error),
        "coverage": lambda: draw_coverage(report),
        "telling_terms": lambda: draw_telling_terms(report.telling_terms),
    }
    # Not every model has verdicts, or suggests cross-lists.
    if any(promise.kept is not None for promise in report.promises):
        drawings["promises"] = lambda: draw_promises(report.promises)
    if report.suggestions:
        drawings["suggestions"] = lambda: draw_suggestions(report.suggestions)
    if report.strangers:
        drawings["strangers"] = lambda: draw_strangers(report.strangers)
    for name, draw in drawings.items():
        save_figure(draw(), folder / f"{name}.png", folder.name, report.created or "")
    return [f"{name}.png" for name in drawings]
