"""Charts of an evaluation, readable for five classes or 150."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from shelfmark.core import files
from shelfmark.evaluation.records import (
    ClassScores,
    CoveragePoint,
    EvaluationReport,
    ReliabilityBin,
)

INK, SOFT, ACCENT = "#1f2933", "#d9dee4", "#2b6cb0"
CELLS_WITH_NUMBERS = 20  # more classes than this, and colour alone is readable
# Of the PNG standard's keywords.
RUN, CREATED = "Source", "Creation Time"
ROWS_A_COLUMN = 50
# Margins in inches: fixed, because measuring 150 labels to lay them out takes seconds.
LEFT, RIGHT, BOTTOM, TOP = 1.5, 0.2, 0.5, 0.5


def _figure(width: float, height: float, bottom: float = BOTTOM) -> Figure:
    """Return a figure whose drawing area has so many inches, with room for labels around it."""
    whole_width, whole_height = LEFT + width + RIGHT, bottom + height + TOP
    figure = Figure(figsize=(whole_width, whole_height))
    figure.subplots_adjust(
        left=LEFT / whole_width,
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


def draw_coverage(rows: list[CoveragePoint], confident: tuple[float, float | None]) -> Figure:
    """Draw the precision of the most confident answers for each share of papers answered.

    `confident` is the share that the model's thresholds let through, and their accuracy.
    """
    figure = _figure(4.0, 4.0)
    axes = figure.subplots()
    axes.plot([row.coverage for row in rows], [row.precision for row in rows], color=ACCENT)
    share, accuracy = confident
    if accuracy is not None:
        axes.scatter([share], [accuracy], s=60, color=INK, zorder=3)
        note = f"confident: {share:.0%} of papers,\n{accuracy:.1%} right"
        axes.annotate(
            note, (share, accuracy), (-8, -30), textcoords="offset points", fontsize=8, ha="right"
        )
    lowest = min(row.precision for row in rows)
    axes.set(xlim=(0, 1.02), ylim=(max(0, lowest - 0.1), 1.02), ylabel="share that was right")
    axes.set_xlabel("share of papers answered, most confident first")
    axes.set_title("Precision against coverage", color=INK)
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
    confident = report.confident_share, report.confident_precision
    drawings: dict[str, Callable[[], Figure]] = {
        "confusion": lambda: draw_confusion(report.confusion, list(report.per_class)),
        "class_f1": lambda: draw_class_f1(report.per_class),
        "reliability": lambda: draw_reliability(report.reliability, report.calibration_error),
        "coverage": lambda: draw_coverage(report.coverage, confident),
        "telling_terms": lambda: draw_telling_terms(report.telling_terms),
    }
    for name, draw in drawings.items():
        save_figure(draw(), folder / f"{name}.png", folder.name, report.created or "")
    return [f"{name}.png" for name in drawings]
