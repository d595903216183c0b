"""The report as one HTML page, and its check.

uv run python reports/report.py html     write reports/report.html, a page that needs no other file
uv run python reports/report.py check    print each wrong figure; exit status 1 if there is any
"""

from __future__ import annotations

import argparse
from pathlib import Path

from shelfmark.core import console, files
from shelfmark.errors import ShelfmarkError
from shelfmark.reports.check import check_report
from shelfmark.reports.collect import PAGE
from shelfmark.reports.write import render_html


def main() -> None:
    """Write the page or check the report, beside this script or in another folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("html", "check"))
    parser.add_argument(
        "--reports", type=Path, default=Path(__file__).parent, help="folder of the report"
    )
    arguments = parser.parse_args()
    with console.one_line_errors("the previous page is unchanged"):
        if arguments.what == "html":
            write_html(arguments.reports)
        else:
            check(arguments.reports)


def write_html(reports: Path) -> None:
    """Write the HTML page and print its path."""
    try:
        text = (reports / PAGE).read_text(encoding="utf-8")
    except OSError as error:
        raise ShelfmarkError(f"no report in {reports}: write it with inv report") from error
    with files.atomic_write(reports / "report.html") as file:
        file.write(render_html(text, reports).encode())
    print(reports / "report.html")


def check(reports: Path) -> None:
    """Print what is wrong with the report; exit with status 1 if anything is."""
    problems = check_report(reports)
    for line in problems:
        print(line)
    if problems:
        raise SystemExit(1)
    print("every figure holds")


if __name__ == "__main__":
    main()
