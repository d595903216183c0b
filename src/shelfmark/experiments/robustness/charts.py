"""Pictures of a robustness report, readable for five classes or 150."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shelfmark.evaluation import charts
from shelfmark.evaluation.charts import ACCENT, INK, SOFT
from shelfmark.experiments.robustness.figures import FigureName, Report, YearFigures

MOST_CLASSES = 20  # of the heatmap: the most frequent
PANELS: dict[FigureName, str] = {
    "accuracy": "accuracy",
    "abstained": "share without a sure answer",
    "confident_precision": "share right of sure answers",
}
LINES: dict[FigureName, str] = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "abstained": PANELS["abstained"],
}


def draw_changes(report: Report) -> Figure:
    """Draw each change's figures as bars, with the interval of the difference to no change."""
    names = list(report["changes"])
    figure = Figure(figsize=(12, 0.35 * len(names) + 1.6), layout="constrained")
    grid = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (key, title) in zip(grid, PANELS.items(), strict=True):
        _bars(axes, report, key)
        axes.set_title(title, color=INK, fontsize=10)
    grid[0].set_yticks(range(len(names)), names)
    grid[0].invert_yaxis()
    figure.suptitle(
        "Changed papers; the line is the papers as they are, "
        "whiskers the 95 % interval of the difference",
        color=INK,
        fontsize=11,
    )
    return figure


def _bars(axes: Axes, report: Report, key: FigureName) -> None:
    before = report["as_is"][key]
    for place, one in enumerate(report["changes"].values()):
        value = one[key]
        if value is None:
            axes.text(0.01, place, "none", va="center", fontsize=8, color=INK)
            continue
        axes.barh(place, value, color=ACCENT, height=0.65)
        difference, end = one["difference"][key], value
        if difference is not None and before is not None:
            low, high = before + difference["low"], before + difference["high"]
            axes.plot([low, high], [place, place], color=INK, linewidth=1.5)
            end = max(end, high)
        axes.text(end + 0.015, place, f"{value:.3f}", va="center", fontsize=8, color=INK,
                  bbox={"color": "white", "pad": 1})  # fmt: skip
    if before is not None:
        axes.axvline(before, color=INK, linewidth=1, linestyle=":")
    axes.set_xlim(0, 1.16)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.spines[["top", "right"]].set_visible(False)


def draw_classes(report: Report) -> Figure:
    """Draw how much F1 each change takes from each of the most frequent classes."""
    before = report["as_is"]["classes"]
    frequent = sorted(before, key=lambda label: (-before[label]["papers"], label))[:MOST_CLASSES]
    names = list(report["changes"])
    lost = np.array(
        [[one["classes"][label]["f1"] - before[label]["f1"] for label in frequent]
         for one in report["changes"].values()]
    )  # fmt: skip
    figure = Figure(
        figsize=(max(6.5, 0.62 * len(frequent) + 3), 0.4 * len(names) + 2), layout="constrained"
    )
    axes = figure.subplots()
    worst = max(0.1, float(np.abs(lost).max()))
    axes.imshow(lost, cmap="RdBu", vmin=-worst, vmax=worst, aspect="auto")
    for (row, column), value in np.ndenumerate(lost):
        colour = "white" if abs(value) > 0.6 * worst else INK
        text = "0" if abs(value) < 0.005 else f"{value:+.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    labels = [f"{label} ({before[label]['papers']:,})" for label in frequent]
    axes.set_xticks(range(len(frequent)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    some = f", the {len(frequent)} most frequent of {len(before)}" * (len(before) > len(frequent))
    axes.set_title(f"F1 won or lost by each class (papers){some}", color=INK, fontsize=11)
    return figure


def draw_years(years: dict[str, dict[str, YearFigures]]) -> Figure:
    """Draw the figures of papers of later years, a line for each year that was trained to."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    shades = np.linspace(0.35, 1, len(years))
    for axes, (key, title) in zip(figure.subplots(1, len(LINES)), LINES.items(), strict=True):
        for shade, (year, rows) in zip(shades, years.items(), strict=True):
            then = [int(x) for x in rows]
            values = [one[key] for one in rows.values()]
            axes.plot(then, values, marker="o", color=ACCENT, alpha=shade, label=f"to {year}")
            axes.annotate(f"to {year}", (then[-1], values[-1]), (5, 0),
                          textcoords="offset points", va="center", fontsize=8)  # fmt: skip
        seen = sorted({int(x) for rows in years.values() for x in rows})
        axes.set_xticks(seen)
        axes.set_xlim(seen[0] - 0.3, seen[-1] + 0.9)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, high - 0.15), high)  # a small change should look small
        axes.grid(color=SOFT, linewidth=0.6)
        axes.set_title(title, color=INK, fontsize=10)
        axes.set_xlabel("year of the tested papers")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Models trained to the end of a year", color=INK, fontsize=11)
    return figure


def draw_promises(years: dict[str, dict[str, YearFigures]], promised: float) -> Figure:
    """Draw the share of the sure answers to later papers that was right, beside the promise."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    axes = figure.subplots()
    seen = sorted({int(then) for rows in years.values() for then in rows})
    width = 0.8 / len(years)
    for number, (year, rows) in enumerate(years.items()):
        for then, one in rows.items():
            place = seen.index(int(then)) + width * (number - (len(years) - 1) / 2)
            kept = one["confident_precision"]
            share = 1 - one["abstained"]
            axes.bar(place, kept or 0, width * 0.92, color=ACCENT,
                     alpha=0.4 + 0.6 * (number + 1) / len(years))  # fmt: skip
            note = f"to {year}: " + ("none sure" if kept is None else f"{kept:.1%} of {share:.0%}")
            axes.text(place, 0.02, note, rotation=90, ha="center", va="bottom", fontsize=7,
                      color="white" if kept else INK)  # fmt: skip
    axes.axhline(promised, color=INK, linewidth=1.5, linestyle=":")
    axes.text(len(seen) - 0.45, promised, f"promised\n{promised:.0%}", fontsize=8, va="center")
    axes.set_xticks(range(len(seen)), [str(then) for then in seen])
    axes.set(xlim=(-0.6, len(seen) - 0.1), ylim=(0, 1.02), xlabel="year of the tested papers")
    axes.set_ylabel("share of the sure answers that is right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Promised and kept, by models trained to the end of a year", color=INK)
    return figure


def draw_all(report: Report, folder: Path, run: str) -> list[str]:
    """Draw every picture of a run's report into a folder and return the file names."""
    drawn = {"changes.png": draw_changes(report), "classes.png": draw_classes(report)}
    if report["years"]:
        drawn["years.png"] = draw_years(report["years"])
        if "promised" in report:
            drawn["promises.png"] = draw_promises(report["years"], report["promised"])
    for name, figure in drawn.items():
        charts.save_figure(figure, folder / name, run, report["created"])
    return list(drawn)
