"""A drift report as one page: the verdict first, then a chart of each change."""

from __future__ import annotations

from shelfmark.core.pages import render
from shelfmark.monitoring.records import DRIFT, NO_DRIFT, TOO_LITTLE, UNKNOWN, DriftReport, minute

FIRST = ("accuracy", "text", "vectors")  # the changes that a reader looks for first
CLASSES = {
    DRIFT: "drift", NO_DRIFT: "no-drift", TOO_LITTLE: "too-little", UNKNOWN: "quiet"
}  # fmt: skip


def render_page(report: DriftReport) -> str:
    """Return a report as HTML that needs no other file; text of papers is escaped."""
    words = report.words
    return render(
        "monitoring/templates/drift.html",
        report=report,
        headline=report.headline(),
        alarms=sorted(report.alarms, key=lambda test: test.test not in FIRST),
        words=[(row.word, row.old, row.new) for row in (*words.more, *words.less)] if words else [],
        shares={
            test.test: [(row.name, row.old, row.new) for row in test.shares]
            for test in report.alarms
            if test.shares
        },
        table=report.table(),
        classes=CLASSES,
        minute=minute,
    )
