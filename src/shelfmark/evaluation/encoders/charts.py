"""The chart of encoders: quality against speed."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shelfmark.evaluation.charts import ACCENT, INK, SOFT
from shelfmark.evaluation.encoders.records import EncoderReport, describe_key

QUALITY = "quality.png"
SPEED = "abstracts_a_second"
SHELF = "same_shelf_ndcg10"
# The earlier project's figure of the same metric and sample size, on its own papers.
EARLIER = {SHELF: 0.587}


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
    rates = []
    for name, figures in report.figures.items():
        rate, quality = figures[SPEED].value, figures[key]
        whole, _, size = name.partition(":")
        trained = report.encoders[whole]["kind"] != "baseline"
        colour = ACCENT if trained else INK
        error = 2 * quality.error if quality.error is not None else None
        axes.errorbar(rate, quality.value, error, fmt="o", color=colour, capsize=2,
                      alpha=0.5 if size else 1, markersize=5 if size else 8)  # fmt: skip
        label = f"{size} numbers" if size else name
        axes.annotate(label, (rate, quality.value), (9, 0), textcoords="offset points",
                      va="center", fontsize=8 if size else 10, color=colour)  # fmt: skip
        rates.append(rate)
    if key in EARLIER and not report.synthetic:
        axes.axhline(EARLIER[key], color=INK, linewidth=1, linestyle=":")
        axes.text(0.02, EARLIER[key], "earlier project, its own papers", fontsize=8, color=INK,
                  va="bottom", transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 2, max(rates) * 8)  # room for the names
    low, high = axes.get_ylim()
    axes.set_ylim(max(0, min(low, high - 0.2)), high)  # a small difference should look small
    axes.grid(color=SOFT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("abstracts a second, one thread")
    task = report.tasks[key]
    axes.set_title(
        f"{describe_key(key)}\n{task.queries:,} queries, {task.pool:,} papers",
        color=INK, fontsize=10,
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
