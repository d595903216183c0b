"""The papers that are compared with a reference, as a model saw them."""

from __future__ import annotations

import heapq
import math
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pandas as pd
import scipy.sparse as sp

from shelfmark.arxiv import taxonomy
from shelfmark.config.schema import DataConfig
from shelfmark.core.arrays import Ints
from shelfmark.data import labels
from shelfmark.errors import ShelfmarkError

SPAN = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Window:
    """Papers as a model saw them, oldest first.

    Args:
        source: where they are from.
        rows: a paper a row: the columns of a reference, and `time`, in seconds, NaN where unknown.
        with_terms: the rows whose words are known.
        terms: their buckets, shape (with_terms, sketches.WIDE or sketches.NARROW); None: of none.
        texts: the texts of the rows in `with_terms`, where they are known too.
        seen: how many papers there were; more than rows if they were too many.
        left_out: how many were not, by the reason.
    """

    source: str
    rows: pd.DataFrame
    with_terms: Ints
    terms: sp.csr_matrix | None
    texts: list[str] | None = None
    seen: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def since_when(since: str, now: float) -> float:
    """Return the moment, in seconds, that 7d, 24h, 90m, 2w or 2026-11-01 names; "" is the first.

    Raises:
        ShelfmarkError: it names none.
    """
    if not since:
        return -math.inf
    if span := SPAN.fullmatch(since):
        return now - float(span[1]) * SECONDS[span[2]]
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise ShelfmarkError(
            f"--since: {since!r} is no time: give 7d, 24h, 90m, 2w or 2026-11-01"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Kept:
    """At most so many items of a stream, chosen by chance, the same for the same stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._chance = random.Random(0)
        self._heap: list[tuple[float, int, Any]] = []
        self.seen = 0

    def add(self, item: Any) -> None:
        """Take the next item of the stream."""
        entry = (self._chance.random(), self.seen, item)
        self.seen += 1
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def items(self) -> list[Any]:
        """Return what was kept, in the order of the stream."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[1])]


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with numbers as numbers, NaN for what is missing, and names as objects."""
    kinds = {name: float for name in ("confidence", "words", "unknown", "time") if name in rows}
    for name in ("label", "predicted", "language"):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), None)
    return rows.astype(kinds)


def fields_of(record: Any) -> dict[str, Any]:
    """Return the fields of a record, of none that is not understood."""
    if isinstance(record, bytes):
        try:
            record = orjson.loads(record)
        except orjson.JSONDecodeError:
            return {}
    return record if isinstance(record, dict) else {}


def label_in(fields: dict[str, Any], data: DataConfig) -> str | None:
    """Return the label in a record: in `label`, or by `primary` or the first of `categories`."""
    if isinstance(fields.get("label"), str):
        return str(fields["label"])
    primary = fields.get("primary") or fields.get("categories")
    if isinstance(primary, str):
        primary = primary.split()
    first = next(iter(primary or []), None) if isinstance(primary, Iterable) else None
    known = taxonomy.current(first) if isinstance(first, str) else None
    return labels.label_of(data, known) if known else None
