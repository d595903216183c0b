"""The CSV of 136,238 papers on Kaggle.

Layout: https://www.kaggle.com/datasets/sumitm004/arxiv-scientific-research-papers-dataset
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from shelfmark.arxiv import dates
from shelfmark.arxiv.identifiers import parse_identifier, parse_version
from shelfmark.arxiv.papers import BadRecordError, Paper, parse_categories
from shelfmark.core import files
from shelfmark.core.files import Location
from shelfmark.core.formats.records import Record, open_records
from shelfmark.errors import ShelfmarkError

SYNTHETIC = False
COLUMNS = ("id", "title", "category_code", "published_date", "summary")
READ = (*COLUMNS, "authors")  # a table may lack the last


def read_records(path: Location | None) -> Iterator[Record]:
    """Stream the rows of the table in the order of the file.

    Raises:
        ShelfmarkError: the file is missing, is no table, or lacks a column.
    """
    with open_records(files.require_file(path, "data.path"), READ, COLUMNS) as records:
        if records.kind != "a table":
            raise ShelfmarkError(
                f"{records.place}: seems to be {records.kind}; data=csv reads a table, "
                "data=snapshot reads JSON"
            )
        missing = [name for name in COLUMNS if name not in records.columns]
        if missing:
            raise ShelfmarkError(f"{records.place}: line 1 has no column {', '.join(missing)}")
        yield from records


def parse_paper(record: dict[str, Any]) -> Paper:
    """Return the paper of one row.

    Raises:
        BadRecordError: a column is empty or invalid.
    """
    values = {}
    for name in COLUMNS:
        value = record[name]
        if not value:
            raise BadRecordError(f"column {name!r} is empty")
        values[name] = value.isoformat() if isinstance(value, date) else value
        if not isinstance(values[name], str):
            raise BadRecordError(f"column {name!r} is {type(value).__name__}, not text")
    return Paper(
        id=parse_identifier(values["id"]),
        title=values["title"],
        abstract=values["summary"],
        categories=parse_categories(values["category_code"]),
        submitted=parse_day(values["published_date"]),
        version=parse_version(values["id"]),
        authors=record.get("authors"),
    )


def parse_day(text: str) -> date:
    """Return the day of a date in any form of `dates.parse_moment`, such as `8/1/93`.

    Raises:
        BadRecordError: it has another form, or the year is impossible.
    """
    try:
        return dates.parse_day(text)
    except ValueError as error:
        raise BadRecordError(f"column 'published_date' is {error}") from None
