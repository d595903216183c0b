"""The report as one page, or whether it still holds.

uv run python reports/report.py html     writes reports/report.html: nothing but that file is needed
uv run python reports/report.py check    status 1 and a line for each figure that does not hold
"""

from __future__ import annotations

import argparse
from pathlib import Path

from shelfmark.core import console, files
from shelfmark.errors import ShelfmarkError
from shelfmark.reports import check as report_check
from shelfmark.reports import html as report_html
from shelfmark.reports.collect import PAGE


def main() -> None:
    """Do what the first word says, with the report beside this script or in another folder."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("what", choices=("html", "check"))
    words.add_argument("--reports", type=Path, default=Path(__file__).parent, help="its folder")
    asked = words.parse_args()
    with console.one_line_errors("the page of before is as it was"):
        html(asked.reports) if asked.what == "html" else check(asked.reports)


def html(reports: Path) -> None:
    """Write the page."""
    try:
        text = (reports / PAGE).read_text(encoding="utf-8")
    except OSError as error:
        raise ShelfmarkError(f"no report in {reports}: write it with inv report") from error
    with files.atomic_write(reports / "report.html") as file:
        file.write(report_html.page(text, reports).encode())
    print(reports / "report.html")


def check(reports: Path) -> None:
    """Print what does not hold, and end with status 1 if anything does not."""
    found = report_check.check(reports)
    for line in found:
        print(line)
    if found:
        raise SystemExit(1)
    print("every figure holds")


if __name__ == "__main__":
    main()
