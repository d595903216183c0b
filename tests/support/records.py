"""Records in the layout of the Kaggle snapshot, of given papers and synthetic ones."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson

from shelfmark.arxiv import dates
from shelfmark.arxiv.papers import Paper

WORDS = " and so on" * 10

Record = dict[str, Any]


def record(paper: Paper, **changes: Any) -> Record:
    """Return a record as the snapshot writes it; a change to `...` leaves a field out."""
    whole = {
        "id": paper.id,
        "submitter": None,
        "authors": "A. Nonym",
        "title": paper.title,
        "comments": paper.comments or None,
        "journal-ref": None,
        "doi": None,
        "report-no": None,
        "categories": " ".join(paper.categories),
        "license": None,
        "abstract": paper.abstract,
        "versions": [{"version": "v1", "created": created(paper.submitted)}],
        "update_date": "2024-01-01",
        "authors_parsed": [["Nonym", "A.", ""]],
    } | changes
    return {name: value for name, value in whole.items() if value is not ...}


def created(day: date) -> str:
    return f"{day:%a}, {day.day} {dates.SHORT[day.month - 1]} {day.year} 19:18:42 GMT"


def made(number: int, category: str = "cs.AI", **changes: Any) -> Record:
    """Return a record that no other equals and that nothing speaks against."""
    day = date(2010, 1, 1) + timedelta(days=number % 3650)  # none in the future
    paper = Paper(
        f"1501.{number:05d}", f"Title {number}", f"Text {number}{WORDS}", (category,), day
    )
    return record(paper, **changes)


def halves(count: int) -> list[Record]:
    """Return made records, one half cs.AI and one half hep-th."""
    return [made(i, "cs.AI" if i % 2 else "hep-th") for i in range(count)]


def lines(records: list[Any]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in records)


def write(path: Path, records: list[Any]) -> Path:
    path.write_bytes(lines(records))
    return path
