"""The report as one HTML page, and its check.

uv run python reports/report.py page     write README.md again from its figures: its wording changed
uv run python reports/report.py html     write reports/report.html, a page that needs no other file
uv run python reports/report.py check    print each wrong figure; exit status 1 if there is any
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shelfmark.cli.output import name_standard_output
from shelfmark.core import console, files
from shelfmark.reports.check import check_report
from shelfmark.reports.collect import read_page
from shelfmark.reports.write import render_html, rewrite_page


def main() -> None:
    """Write the page or check the report, beside this script or in another folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("page", "html", "check"))
    parser.add_argument(
        "--reports", type=Path, default=Path(__file__).parent, help="folder of the report"
    )
    arguments = parser.parse_args()
    name_standard_output()
    with console.one_line_errors("the previous page is unchanged"):
        if arguments.what == "page":
            print(rewrite_page(arguments.reports))
        elif arguments.what == "html":
            write_html(arguments.reports)
        else:
            check(arguments.reports)
        sys.stdout.flush()


def write_html(reports: Path) -> None:
    """Write the HTML page and print its path."""
    page = render_html(read_page(reports), reports)
    with files.atomic_write(reports / "report.html") as file:
        file.write(page.encode())
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
