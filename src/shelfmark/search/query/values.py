"""The values of a filter as people write them: days, months and years, and names of categories."""

from __future__ import annotations

import calendar
import re
from collections.abc import Collection
from datetime import date

from shelfmark.arxiv import taxonomy
from shelfmark.errors import nearest

DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
DAY_FORM = "should be a day, a month or a year: 2018-05-31, 2018-05 or 2018"


def parse_since(text: str) -> date:
    """Return a day, or the first day of a month or a year.

    Raises:
        ValueError: the text is none of these.
    """
    year, month, day = _parse(text)
    return _to_date(year, 1 if month is None else month, 1 if day is None else day)


def parse_until(text: str) -> date:
    """Return a day, or the last day of a month or a year.

    Raises:
        ValueError: the text is none of these.
    """
    year, month, day = _parse(text)
    month = 12 if month is None else month
    if day is None:
        first = _to_date(year, month, 1)
        day = calendar.monthrange(first.year, first.month)[1]
    return _to_date(year, month, day)


def parse_category(text: str, more: Collection[str] = ()) -> str:
    """Return the current name of a category, an archive or a group.

    Args:
        text: the name, in any case, or an old name of the category.
        more: names of categories that arXiv's list in this release lacks.

    Raises:
        ValueError: there is none of this name; the text names the nearest one.
    """
    name = taxonomy.canonical_name(text.strip())
    if name in taxonomy.KNOWN or name in more:
        assert name is not None
        return name
    known = {one.lower(): one for one in sorted({*taxonomy.KNOWN, *more})}
    hint = nearest(text.strip().lower()[: taxonomy.LONGEST], known)
    for lower, one in known.items():  # as arXiv writes it
        hint = hint.replace(f" {lower}?", f" {one}?")
    raise ValueError(f"no such category, archive or group{hint}")


def _parse(text: str) -> tuple[int, int | None, int | None]:
    match = DAY.fullmatch(text.strip())
    if match is None:
        raise ValueError(DAY_FORM)
    year, month, day = (None if part is None else int(part) for part in match.groups())
    assert year is not None
    return year, month, day


def _to_date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"no such day; it {DAY_FORM}") from None
