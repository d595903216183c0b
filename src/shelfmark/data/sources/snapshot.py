"""arXiv's metadata snapshot: JSON lines, compressed or not, or a Parquet of the same fields.

Layout: https://www.kaggle.com/datasets/Cornell-University/arxiv
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import date
from typing import Any

import orjson

from shelfmark.arxiv import dates
from shelfmark.arxiv.identifiers import parse_identifier, parse_version
from shelfmark.arxiv.papers import BadRecordError, Paper, parse_categories
from shelfmark.core import files
from shelfmark.core.files import Location
from shelfmark.core.formats.records import Record, open_records
from shelfmark.errors import ShelfmarkError

SYNTHETIC = False
TEXTS = ("id", "title", "abstract", "categories")
FIELDS = (*TEXTS, "comments", "versions", "update_date")
NO_DATE = "field 'versions' holds no date of the first version"
SURE_YEARS = range(dates.FIRST_YEAR, dates.last_year() + 1)


def read_records(path: Location | None) -> Iterator[Record]:
    """Stream the records of a snapshot in the order of the file: JSON as bytes, or rows.

    Raises:
        ShelfmarkError: the file is missing, or holds neither JSON nor a table of these fields.
    """
    with open_records(files.require_file(path, "data.path"), FIELDS) as records:
        if records.kind == "text lines":
            raise ShelfmarkError(
                f"{records.place}: seems to be lines of text; data=snapshot reads JSON or Parquet"
            )
        missing = [name for name in (*TEXTS, "versions") if name not in records.columns]
        if records.kind == "a table" and missing:
            raise ShelfmarkError(
                f"{records.place}: has no column {', '.join(missing)}; data=csv reads Kaggle's CSV"
            )
        yield from records


def parse_paper(record: Any) -> Paper:
    """Return the paper of one record, a line of JSON or a row.

    Raises:
        BadRecordError: broken JSON, or a field is missing, of the wrong type or invalid.
    """
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError as error:
            raise BadRecordError(f"broken JSON: {error}") from None
    if not isinstance(record, dict):
        raise BadRecordError(f"not an object but {type(record).__name__}")
    ident, title, abstract, names = map(record.get, TEXTS)
    if not (type(ident) is type(title) is type(abstract) is type(names) is str):
        raise BadRecordError(_not_text(record))
    comments = record.get("comments") or ""
    if not isinstance(comments, str):
        raise BadRecordError(f"field 'comments' is {type(comments).__name__}, not text")
    day = parse_submitted(record.get("versions"))
    version, updated = parse_revision(record)
    categories = parse_categories(names)
    ident = parse_identifier(ident)
    authors = record.get("authors_parsed") or record.get("authors")
    return Paper(ident, title, abstract, categories, day, comments, version, updated, authors)


def _not_text(record: dict[str, Any]) -> str:
    field = next(name for name in TEXTS if not isinstance(record.get(name), str))
    if record.get(field) is None:
        return f"field {field!r} is missing"
    return f"field {field!r} is {type(record[field]).__name__}, not text"


def parse_submitted(versions: Any) -> date:
    """Return the day of submission, the one of the first version: `Mon, 2 Apr 2007 19:18:42 GMT`.

    `update_date` of a record is the day of its last change.

    Raises:
        BadRecordError: the date is missing or invalid, or the year is impossible.
    """
    created = first_date(versions)
    try:  # the usual form, several times as fast
        _, day, month, year, _, zone = created.split()
        if zone == "GMT" and int(year) in SURE_YEARS:
            return date(int(year), dates.MONTHS[month], int(day))
    except (KeyError, ValueError):
        pass
    try:
        return dates.parse_day(created)
    except ValueError as error:
        raise BadRecordError(f"{NO_DATE}: {error}") from None


def first_date(versions: Any) -> str:
    """Return the date of the first version as the record writes it.

    That is the version of the lowest number; where none has a number, the first in the list.

    Raises:
        BadRecordError: it is missing.
    """
    try:
        first = versions[0]
        if len(versions) > 1 and first.get("version") != "v1":  # some list the newest first
            first = min(versions, key=lambda one: parse_version(str(one.get("version"))))
        created = first["created"]
    except (LookupError, TypeError, AttributeError):
        created = None
    if not isinstance(created, str):
        raise BadRecordError(NO_DATE)
    return created


def parse_revision(record: dict[str, Any]) -> tuple[int, date | None]:
    """Return the number of a record's last version and the day of its last change.

    The version is that of `versions` or of the identifier, whichever is higher; 0 if neither names
    one. The day is that of `update_date`, None if it is missing or invalid.
    """
    number = parse_version(str(record.get("id")))
    if isinstance(versions := record.get("versions"), list):
        for one in versions:
            if isinstance(one, dict):
                number = max(number, _version_number(str(one.get("version"))))
    updated = record.get("update_date")
    return number, _parse_updated(str(updated)) if updated else None


_version_number = functools.lru_cache(maxsize=1 << 10)(parse_version)


@functools.lru_cache(maxsize=1 << 15)  # most days are those of many papers
def _parse_updated(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])  # the usual form
    except ValueError:
        pass
    try:
        return dates.parse_day(text)
    except ValueError:
        return None
