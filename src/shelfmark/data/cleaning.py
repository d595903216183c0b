"""Cleaning: records become rows of the splits; dropped and broken records are counted.

Worker processes import this module, so it needs little.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from loguru import logger

from shelfmark.arxiv import papers
from shelfmark.arxiv.papers import BrokenRecord, Paper
from shelfmark.arxiv.taxonomy import label_at
from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.config.schema import DataConfig
from shelfmark.data import sources
from shelfmark.data.splits import SCHEMA, SPLITS, assign_split
from shelfmark.errors import ShelfmarkError

# Records to read before the share of broken ones is compared with the limit, so that one near the
# start does not stop a good file; at the end it is always compared.
MIN_READ = 1000
NO_LETTER_OR_DIGIT = bytes(i for i in range(128) if not chr(i).isalnum())
CLEANED = pa.schema([field for field in SCHEMA if field.name != "label"])

# As in `CLEANED`: identifier, title, abstract, text, categories, day of submission.
Row = tuple[str, str, str, str, tuple[str, ...], date]


@dataclass(frozen=True)
class CleanedChunk:
    """The rows of some consecutive records, and counts of the dropped ones.

    Args:
        read: number of records.
        rows: rows of the schema `CLEANED`.
        keys: for each row, `id` and `text` are hashes, equal for equal contents; `day` is an
            ordinal, `split` an index into `SPLITS`, `primary` an index into `categories`.
        categories: the primary categories of the rows.
        dropped: number of dropped records by reason.
        broken: the unreadable records.
    """

    read: int
    rows: pa.RecordBatch
    keys: dict[str, np.ndarray[Any, np.dtype[np.int64]]]
    categories: list[str]
    dropped: Counter[str]
    broken: list[BrokenRecord]


class RecordCounts:
    """Counts the records that were read, dropped and broken; fails if too many are broken."""

    def __init__(self, max_bad: float, origin: str) -> None:
        self.read = 0
        self.dropped: Counter[str] = Counter()
        self._max_bad = max_bad
        self._origin = origin
        self._first: BrokenRecord | None = None

    def add(self, chunk: CleanedChunk) -> None:
        """Count the records of the next chunk.

        Raises:
            ShelfmarkError: the share of broken records exceeds the limit.
        """
        self.read += chunk.read
        self.dropped.update(chunk.dropped)
        for record in chunk.broken:
            logger.debug("{}: line {}: {}", self._origin, record.line, record.reason)
        if chunk.broken:
            self.dropped["broken"] += len(chunk.broken)
            self._first = self._first or chunk.broken[0]
            self._check_share(max(self.read, MIN_READ))

    def close(self) -> None:
        """Check the counts of the whole source.

        Raises:
            ShelfmarkError: it has no records, or the share of broken records exceeds the limit.
        """
        if self.read == 0:
            raise ShelfmarkError(f"{self._origin}: holds no papers")
        self._check_share(self.read)
        if self._first:
            logger.warning("{}, skipped", self._describe(self._first))

    def _check_share(self, read: int) -> None:
        broken = self.dropped["broken"]
        if self._first and broken > self._max_bad * read:
            description = self._describe(self._first)
            raise ShelfmarkError(f"{description}, more than data.max_bad={self._max_bad:g} allows")

    def _describe(self, first: BrokenRecord) -> str:
        broken = self.dropped["broken"]
        return (
            f"{self._origin}: line {first.line}: {first.reason}; "
            f"{broken} of {self.read} records broken"
        )


def clean_records(data: DataConfig, records: list[tuple[int, Any]]) -> CleanedChunk:
    """Turn consecutive raw records into rows; a pure function that any process may run."""
    rows: list[Row] = []
    texts, splits, primaries = [], [], []
    places: dict[str, int] = {}
    dropped: Counter[str] = Counter()
    broken = []
    for paper in sources.parse_records(data.source, records):
        if isinstance(paper, BrokenRecord):
            broken.append(paper)
            continue
        title, abstract = clean_text(paper.title), clean_text(paper.abstract)
        reason = _reason_to_drop(data, paper, abstract)
        if reason:
            dropped[reason] += 1
            continue
        text = join_texts(title, abstract, data.maths)
        rows.append((paper.id, title, abstract, text, paper.categories, paper.submitted))
        texts.append(text_key(title, abstract))
        splits.append(SPLITS.index(assign_split(data, paper.id, paper.submitted)))
        primaries.append(places.setdefault(paper.categories[0], len(places)))
    keys = {
        "id": _hashes(row[0].encode() for row in rows),
        "text": _hashes(texts),
        "day": np.array([row[5].toordinal() for row in rows], np.int64),
        "split": np.array(splits, np.int64),
        "primary": np.array(primaries, np.int64),
    }
    columns = list(zip(*rows, strict=True)) or [()] * len(CLEANED)
    batch = pa.record_batch(columns, schema=CLEANED)
    return CleanedChunk(len(records), batch, keys, list(places), dropped, broken)


def text_key(title: str, abstract: str) -> bytes:
    """Return the letters and digits of a paper, lower case, as UTF-8: equal for its copies."""
    return f"{title}{abstract}".casefold().encode().translate(None, NO_LETTER_OR_DIGIT)


def _hashes(contents: Iterable[bytes]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a 64-bit hash of each content, the same in every process."""
    digests = [hashlib.blake2b(content, digest_size=8).digest() for content in contents]
    return np.frombuffer(b"".join(digests), np.int64)


def _reason_to_drop(data: DataConfig, paper: Paper, abstract: str) -> str | None:
    if papers.is_withdrawn(abstract, paper.comments):
        return "withdrawn"
    if papers.is_foreign(paper.comments):
        return "not English"
    # Plain text has one blank less than words, unless it is empty.
    if abstract.count(" ") + bool(abstract) < data.min_words:
        return "too short"
    # Custom labels have no level.
    custom = isinstance(data.labels, dict)
    if not custom and label_at(paper.categories[0], data.level) is None:
        return f"no {data.level}"
    return None
