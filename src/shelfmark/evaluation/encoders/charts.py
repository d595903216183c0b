"""The chart of encoders: quality against speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shelfmark.evaluation.charts import ACCENT, INK, SOFT
from shelfmark.evaluation.encoders.records import EncoderReport, describe_key

QUALITY = "quality.png"
SPEED = "abstracts_a_second"
SHELF = "same_shelf_ndcg10"
# Shares of a panel: points nearer than this have their names in one column, which is so far from
# them; and the height of a line.
NEAR, ROOM, LINE = 0.2, 0.03, 0.055
# The earlier project's figure of the same metric and sample size, on its own papers.
EARLIER = {SHELF: 0.587}


@dataclass(frozen=True)
class _Point:
    """An encoder of a panel; small if its vectors are cut."""

    rate: float
    quality: float
    name: str
    colour: str
    small: bool


def draw_quality(report: EncoderReport) -> Figure:
    """Draw how well each encoder finds known items and shelves, against its speed.

    Vectors of fewer numbers are joined to those that they are cut from. The bars are two standard
    errors.
    """
    known = [key for key in report.tasks if key.startswith("title_") and key.endswith("_mrr")]
    keys = [*known[:1], *([SHELF] if SHELF in report.tasks else [])]
    figure = Figure(figsize=(5.2 * len(keys), 4.4), layout="constrained")
    for axes, key in zip(figure.subplots(1, len(keys), squeeze=False)[0], keys, strict=True):
        _draw_panel(axes, report, key)
    figure.suptitle(
        "Quality against speed" + " (synthetic papers)" * report.synthetic, color=INK, fontsize=12
    )
    return figure


def _draw_panel(axes: Axes, report: EncoderReport, key: str) -> None:
    points = []
    for name, figures in report.figures.items():
        rate, quality = figures[SPEED].value, figures[key]
        whole, _, size = name.partition(":")
        colour = INK if report.encoders[whole]["kind"] == "baseline" else ACCENT
        error = 2 * quality.error if quality.error is not None else None
        axes.errorbar(rate, quality.value, error, fmt="o", color=colour, capsize=2,
                      alpha=0.5 if size else 1, markersize=5 if size else 8)  # fmt: skip
        label = f"{size} numbers" if size else name
        points.append(_Point(rate, quality.value, label, colour, bool(size)))
    if key in EARLIER and not report.synthetic:
        axes.axhline(EARLIER[key], color=INK, linewidth=1, linestyle=":")
        axes.text(0.02, EARLIER[key], "earlier project, its own papers", fontsize=8, color=INK,
                  va="bottom", transform=axes.get_yaxis_transform())  # fmt: skip
    _set_limits(axes, points)
    for small in (False, True):
        _write_names(axes, [point for point in points if point.small is small])
    axes.set_xlabel("abstracts a second, one thread")
    task = report.tasks[key]
    title = f"{describe_key(key)}\n{task.queries:,} queries, {task.pool:,} papers"
    axes.set_title(title, color=INK, fontsize=10)


def _set_limits(axes: Axes, points: Sequence[_Point]) -> None:
    axes.set_xscale("log")
    rates = [point.rate for point in points]
    axes.set_xlim(min(rates) / 6, max(rates) * 10)  # room for the names
    low, high = axes.get_ylim()
    axes.set_ylim(max(0, min(low, high - 0.2)), high)  # a small difference should look small
    axes.grid(color=SOFT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _write_names(axes: Axes, points: Sequence[_Point]) -> None:
    """Write the name of each point beside it, those of near points below one another.

    The names of whole encoders are to the right of the points, the sizes they are cut to left.
    """
    within_axes = axes.transScale + axes.transLimits
    placed = sorted(
        ((*within_axes.transform((point.rate, point.quality)), point) for point in points),
        key=lambda one: one[0],
    )
    while placed:
        near = [one for one in placed if one[0] - placed[0][0] < NEAR]
        placed = placed[len(near) :]
        side = near[0][0] - ROOM if near[0][2].small else near[-1][0] + ROOM
        height = math.inf
        for x, y, point in sorted(near, key=lambda one: -one[1]):
            height = min(y, height - LINE)
            axes.annotate(
                point.name, (x, y), (side, height), xycoords="axes fraction", va="center",
                textcoords="axes fraction", ha="right" if point.small else "left",
                fontsize=8 if point.small else 10, color=point.colour,
                arrowprops={"arrowstyle": "-", "color": SOFT, "shrinkA": 0, "shrinkB": 4},
            )  # fmt: skip
