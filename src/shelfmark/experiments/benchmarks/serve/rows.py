"""The lines of the table: the service beside another under the same load."""

from __future__ import annotations

from shelfmark.experiments.benchmarks.row import Row, format_ratio
from shelfmark.experiments.benchmarks.serve.wrk import Figures


def compare(load: str, ours: Figures, other: Figures, whose: str) -> list[Row]:
    """Return rate and latency under a load; a ratio above one means that ours is better.

    Args:
        load: that both got, in words.
        ours: of the service.
        other: of what it is compared with.
        whose: the name of that.
    """
    rows = [
        Row(load, _rate(ours.rate), f"{_rate(other.rate)}, {whose}",
            format_ratio(ours.rate / other.rate)),
        Row("  p50", show(ours.p50), show(other.p50), format_ratio(other.p50 / ours.p50)),
        Row("  p99", show(ours.p99), show(other.p99), format_ratio(other.p99 / ours.p99)),
    ]  # fmt: skip
    spread, others = (one.p99 / one.p50 for one in (ours, other))
    rows.append(Row("  p99 over p50", f"{spread:.1f}", f"{others:.1f}",
                    format_ratio(others / spread)))  # fmt: skip
    return rows


def describe_lists(load: str, length: int, ours: Figures, single: float, whose: str) -> list[Row]:
    """Return the papers a second in lists, beside those of an app that takes one a request.

    Args:
        load: whose bodies are the lists, in words.
        length: papers of a list.
        ours: of the service.
        single: papers a second of the app, at most.
        whose: the name of the app.
    """
    papers = length * ours.rate
    return [
        Row(f"{load}: lists of {length}", f"{papers:,.0f} papers/s",
            f"{single:,.0f} papers/s, one a request, {whose}", format_ratio(papers / single)),
        Row("  p50", show(ours.p50)),
        Row("  p99", show(ours.p99)),
    ]  # fmt: skip


def describe_equality(papers: int, differences: int) -> Row:
    """Return whether the service answers papers as the command does."""
    equal = "equal to inv predict's"
    line = f"NOT {equal}: {differences:,} papers" if differences else equal
    return Row(f"answers to {papers:,} papers in lists", line)


def show(milliseconds: float) -> str:
    """Return a time as the table shows it."""
    return f"{milliseconds:,.2f} ms"


def _rate(rate: float) -> str:
    return f"{rate:,.0f} requests/s"
