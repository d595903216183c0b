"""A robustness report as a person reads it: a page of tables, and one table in the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.core import console

HURT, HURT_PAPERS = 3, 20  # classes named for each change, and the papers they must have
COLUMNS = (
    "accuracy", "points won or lost", "macro F1", "abstained", "right if confident",
    "confident and wrong",
)  # fmt: skip
# As many columns as a terminal has room for, on two lines.
SHORT = ("accuracy", "points\nwon or lost", "macro\nF1", "abstains", "right if\nsure")
AS_IS = "as it is"
YEARLY = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "abstained": "Abstention",
    "confident_precision": "Share right of confident answers",
}


def wrong(figures: dict[str, Any]) -> float:
    """Return the share of all papers whose answer is confident and wrong."""
    precision = figures["confident_precision"]
    return 0.0 if precision is None else float((1 - figures["abstained"]) * (1 - precision))


def rows_of(report: dict[str, Any]) -> list[list[str]]:
    """Return a row for the papers as they are and for each change, cells as in `COLUMNS`."""
    found = []
    for name, one in {AS_IS: report["as_is"], **report["changes"]}.items():
        precision = one["confident_precision"]
        found.append(
            [
                name,
                f"{one['accuracy']:.4f}",
                _interval(one["difference"]["accuracy"]) if "difference" in one else "",
                f"{one['macro_f1']:.4f}",
                f"{one['abstained']:.4f}",
                "" if precision is None else f"{precision:.4f}",
                f"{wrong(one):.4f}",
            ]
        )
    return found


def _interval(one: dict[str, float] | None) -> str:
    if one is None:
        return ""
    value, low, high = (100 * one[key] + 0.0 for key in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f}, {high:+.1f})"


def show(report: dict[str, Any]) -> None:
    """Print the report's tables on standard output."""
    title = f"{report['model']}: {report['papers']:,} papers of the {report['split']} split"
    title += " (synthetic)" * report["synthetic"]
    _print(title, ["", *SHORT], [row[: len(SHORT) + 1] for row in rows_of(report)])
    if report["years"]:
        _print("accuracy on papers of later years", *_years(report, "accuracy"))


def _print(title: str, head: list[str], rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left", no_wrap=number > 0)
    for row in rows:
        table.add_row(*row)
    console.STDOUT.print(table)


def _years(report: dict[str, Any], key: str) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: a row for each trained year, a column for each tested one."""
    tested = sorted({then for rows in report["years"].values() for then in rows})
    rows = []
    for year, found in report["years"].items():
        values = [found[then][key] if then in found else None for then in tested]
        cells = ["" if value is None else f"{value:.3f}" for value in values]
        rows.append([f"to {year}", f"{report['years_trained'][year]:,}", *cells])
    return ["trained", "papers", *tested], rows


def markdown(report: dict[str, Any], names: list[str]) -> str:
    """Return the report as a Markdown page.

    Args:
        report: as `metrics.json` holds it.
        names: the pictures' file names.
    """
    note = " These papers are synthetic: the figures say nothing of real ones."
    lines = [
        f"# Robustness of {report['model']}",
        "",
        f"{report['papers']:,} papers of the {report['split']} split, each changed in every way."
        + note * report["synthetic"],
        "",
        "```bash",
        report["command"],
        "```",
        "",
        *_table(["change", *COLUMNS], rows_of(report)),
        "",
        "In brackets the 95 % interval of the difference: a paired bootstrap over the papers.",
        "Abstained: the share not answered with confidence. Confident and wrong: of all papers.",
        "",
        *_notes(report["changes"]),
        "",
        "## Classes",
        "",
        f"Of those with {HURT_PAPERS} papers or more; metrics.json has all.",
        "",
        *_table(["change", "F1 lost most by"], _hurt(report)),
        "",
        *(_over_years(report) if report["years"] is not None else []),
        *(f"![{name.removesuffix('.png')}]({name})\n" for name in names),
    ]
    return "\n".join(lines)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"| --- |{' ---: |' * (len(head) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _notes(changes: dict[str, Any]) -> list[str]:
    """Return what there is to say of single changes."""
    touched = [f"{name} {one['touched']:.1%}" for name, one in changes.items()
               if one["touched"] < 0.9995]  # fmt: skip
    found = {key: {name: one[key] for name, one in changes.items() if key in one}
             for key in ("moved", "language")}  # fmt: skip
    moved = [
        f"{name}: {one['before']:.1%} of the papers were given that class before, "
        f"{one['after']:.1%} after, {one['confidently']:.1%} with confidence"
        for name, one in found["moved"].items()
    ]
    (language,) = found["language"].values()
    return [
        f"- Share of the papers that a change touches at all, where not all: {', '.join(touched)}.",
        f"- The most telling words of another class, drawn for each paper, were added to the "
        f"abstract (keyword stuffing), or to the title too. {'; '.join(moved)}.",
        f"- Another language puts French words for {language['words']:.1%} of the words, one by "
        f"one: no translation. The log marks {language['marked_before']:.1%} of the papers as not "
        f"English before, {language['marked_after']:.1%} after.",
    ]


def _hurt(report: dict[str, Any]) -> list[list[str]]:
    """Return for each change the classes that lose most F1."""
    before = report["as_is"]["classes"]
    enough = [label for label, one in before.items() if one["papers"] >= HURT_PAPERS]
    rows = []
    for name, one in report["changes"].items():
        lost = sorted((one["classes"][label]["f1"] - before[label]["f1"], label)
                      for label in enough)[:HURT]  # fmt: skip
        told = [f"{label} ({full_name(label)}) {by:+.3f}" for by, label in lost if by < -0.0005]
        rows.append([name, "; ".join(told)])
    return rows


def _over_years(report: dict[str, Any]) -> list[str]:
    """Return the section on models of earlier years."""
    lines = ["## Over time", "", "Trained by the same configuration to the end of a year.", ""]
    for key, title in YEARLY.items() if report["years"] else ():
        lines += [f"{title} on papers of later years:", "", *_table(*_years(report, key)), ""]
    left_out = report["years_left_out"].items()
    return [*lines, *(f"{year} is left out: {why}.\n" for year, why in left_out)]
