"""A robustness report for a person: the page that is written, and the tables of a terminal."""

from __future__ import annotations

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.core import pages
from shelfmark.core.output.tables import Table
from shelfmark.experiments.robustness.figures import (
    ChangeFigures,
    FigureName,
    Figures,
    Interval,
    Report,
    SampleFigures,
)

HURT, HURT_PAPERS = 3, 20  # classes named for each change, and the papers that they must have
COLUMNS = (
    "accuracy", "points won or lost", "macro F1", "abstained", "right if sure",
    "sure and wrong",
)  # fmt: skip
# As many columns as a terminal has room for, on two lines.
SHORT = ("accuracy", "points\nwon or lost", "macro\nF1", "abstains", "right if\nsure")
AS_IS = "as it is"
YEARLY: dict[FigureName, str] = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "abstained": "Abstention",
    "confident_precision": "Share right of sure answers",
}


def confidently_wrong(figures: Figures) -> float:
    """Return the share of all papers whose answer is confident and wrong."""
    precision = figures["confident_precision"]
    return 0.0 if precision is None else float((1 - figures["abstained"]) * (1 - precision))


def summary_tables(report: Report) -> list[Table]:
    """Return the tables that a terminal has room for."""
    title = f"{report['model']}: {report['papers']:,} papers of the {report['split']} split"
    title += " (synthetic)" * report["synthetic"]
    rows = [row[: len(SHORT) + 1] for row in _change_rows(report)]
    tables = [Table(("", *SHORT), rows, title=title)]
    if report["years"]:
        columns, rows = _year_rows(report, "accuracy")
        tables.append(Table(columns, rows, title="accuracy on papers of later years"))
    return tables


def render_report(report: Report, pictures: list[str]) -> str:
    """Return the report as a Markdown page.

    Args:
        report: as `metrics.json` holds it.
        pictures: their file names.
    """
    years = [(title, Table(*_year_rows(report, key))) for key, title in YEARLY.items()]
    (language,) = (one["language"] for one in report["changes"].values() if "language" in one)
    return pages.render(
        "experiments/robustness/templates/report.md",
        report=report,
        changes=Table(("change", *COLUMNS), _change_rows(report)),
        touched=[f"{name} {one['touched']:.1%}" for name, one in report["changes"].items()
                 if one["touched"] < 0.9995],
        moved=[_describe_moved(name, one) for name, one in report["changes"].items()
               if "moved" in one],
        language={name: f"{share:.1%}" for name, share in language.items()},
        least_papers=HURT_PAPERS,
        classes=Table(("change", "F1 lost most by"), _hurt_rows(report)),
        years=years if report["years"] else [],
        pictures=pictures,
    )  # fmt: skip


def _change_rows(report: Report) -> list[list[str]]:
    """Return a row for the unchanged papers and for each change, with the cells of `COLUMNS`."""
    unchanged = _cells(AS_IS, report["as_is"], None)
    return [unchanged] + [
        _cells(name, one, one["difference"]["accuracy"]) for name, one in report["changes"].items()
    ]


def _cells(name: str, figures: SampleFigures, difference: Interval | None) -> list[str]:
    precision = figures["confident_precision"]
    return [
        name,
        f"{figures['accuracy']:.4f}",
        _format_interval(difference),
        f"{figures['macro_f1']:.4f}",
        f"{figures['abstained']:.4f}",
        "" if precision is None else f"{precision:.4f}",
        f"{confidently_wrong(figures):.4f}",
    ]


def _format_interval(interval: Interval | None) -> str:
    """Return a difference and its interval in points, empty if it is missing."""
    if interval is None:
        return ""
    value, low, high = (
        100 * x + 0.0 for x in (interval["value"], interval["low"], interval["high"])
    )
    return f"{value:+.1f} ({low:+.1f}, {high:+.1f})"


def _year_rows(report: Report, key: FigureName) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows: a row for each trained year, a column for each tested one."""
    years = report["years"] or {}
    tested = sorted({then for tests in years.values() for then in tests})
    rows = []
    for year, tests in years.items():
        values = [tests[then][key] if then in tests else None for then in tested]
        cells = ["" if value is None else f"{value:.3f}" for value in values]
        rows.append([f"to {year}", f"{report['years_trained'][year]:,}", *cells])
    return ["trained", "papers", *tested], rows


def _describe_moved(name: str, change: ChangeFigures) -> str:
    moved = change["moved"]
    return (
        f"{name}: {moved['before']:.1%} of the papers were given that class before, "
        f"{moved['after']:.1%} after, {moved['confidently']:.1%} as sure"
    )


def _hurt_rows(report: Report) -> list[list[str]]:
    """Return for each change the classes that lose most F1."""
    before = report["as_is"]["classes"]
    enough = [label for label, one in before.items() if one["papers"] >= HURT_PAPERS]
    rows = []
    for name, change in report["changes"].items():
        classes = change["classes"]
        lost = sorted((classes[label]["f1"] - before[label]["f1"], label) for label in enough)
        worst = [(by, label) for by, label in lost[:HURT] if by < -0.0005]
        cell = "; ".join(f"{label} ({full_name(label)}) {by:+.3f}" for by, label in worst)
        rows.append([name, cell])
    return rows
