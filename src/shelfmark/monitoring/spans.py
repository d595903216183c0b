"""The start of a window of papers, as a user gives it."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from shelfmark.errors import ShelfmarkError

SPAN = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
WHOLE = "all"
FORMS = "give 7d, 24h, 90m, 2w, 2026-11-01, or all"


def parse_since(since: str, now: float) -> float:
    """Return the time, in seconds, of 7d, 24h, 90m, 2w or 2026-11-01; of "" or all the beginning.

    Args:
        since: a span before now, or a day or time in ISO 8601, in UTC without a zone.
        now: in seconds since 1970.

    Raises:
        ShelfmarkError: it is neither.
    """
    if since in ("", WHOLE):
        return -math.inf
    if span := SPAN.fullmatch(since):
        return now - float(span[1]) * SECONDS[span[2]]
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise ShelfmarkError(f"--since: {since!r} is invalid: {FORMS}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def check_since(since: str) -> str:
    """Return the start of a window, for a setting.

    Raises:
        ValueError: it is invalid.
    """
    try:
        parse_since(since, 0.0)
    except ShelfmarkError:
        raise ValueError(f"should be a span or a day: {FORMS}") from None
    return since
