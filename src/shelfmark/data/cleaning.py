"""Which records become papers worth keeping, with every other one counted by reason."""

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
from shelfmark.data.splits import SCHEMA, SPLITS, split_of
from shelfmark.errors import ShelfmarkError

# Broken records are held against the share allowed only once this many were read, so that one
# near the start of a good file does not stop it; the end of the file is always judged.
PATIENCE = 1000
NO_LETTER_OR_DIGIT = bytes(i for i in range(128) if not chr(i).isalnum())
CLEANED = pa.schema([field for field in SCHEMA if field.name != "label"])

# As in `CLEANED`: identifier, title, abstract, text, categories, day of submission.
Row = tuple[str, str, str, str, tuple[str, ...], date]


@dataclass(frozen=True)
class Chunk:
    """What became of some consecutive records: the rows kept, and a count of the others.

    `rows` holds title, abstract and text plain; for every row, `ids` and `texts` are hashes that
    are equal for equal ones, and `days`, `splits` (a place in `SPLITS`) and `primaries` (a place
    in `categories`) are what the decisions over all chunks need.
    """

    read: int
    rows: pa.RecordBatch
    keys: dict[str, np.ndarray[Any, np.dtype[np.int64]]]
    categories: list[str]
    dropped: Counter[str]
    broken: list[BrokenRecord]


class Ledger:
    """Counts what happened to every record read, and stops at too many broken ones."""

    def __init__(self, max_bad: float, origin: str) -> None:
        self.read = 0
        self.dropped: Counter[str] = Counter()
        self._max_bad = max_bad
        self._origin = origin
        self._first: BrokenRecord | None = None

    def add(self, chunk: Chunk) -> None:
        """Count the records of the next chunk.

        Raises:
            ShelfmarkError: the broken ones are more than the share allowed.
        """
        self.read += chunk.read
        self.dropped.update(chunk.dropped)
        for record in chunk.broken:
            logger.debug("{}: line {}: {}", self._origin, record.line, record.reason)
        if chunk.broken:
            self.dropped["broken"] += len(chunk.broken)
            self._first = self._first or chunk.broken[0]
            self._judge(max(self.read, PATIENCE))

    def close(self) -> None:
        """Judge the whole source once it is read.

        Raises:
            ShelfmarkError: it held nothing, or more broken records than the share allowed.
        """
        if self.read == 0:
            raise ShelfmarkError(f"{self._origin}: holds no papers")
        self._judge(self.read)
        if self._first:
            logger.warning("{}, left out", self._told(self._first))

    def _judge(self, read: int) -> None:
        broken = self.dropped["broken"]
        if self._first and broken > self._max_bad * read:
            told = self._told(self._first)
            raise ShelfmarkError(f"{told}, more than data.max_bad={self._max_bad:g} allows")

    def _told(self, first: BrokenRecord) -> str:
        broken = self.dropped["broken"]
        return (
            f"{self._origin}: line {first.line}: {first.reason}; "
            f"{broken} of {self.read} records broken"
        )


def clean(data: DataConfig, records: list[tuple[int, Any]]) -> Chunk:
    """Turn consecutive raw records into rows worth keeping; a pure function, for any process."""
    rows: list[Row] = []
    texts, splits, primaries = [], [], []
    places: dict[str, int] = {}
    dropped: Counter[str] = Counter()
    broken = []
    for paper in sources.understand(data.source, records):
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
        texts.append(same_text(title, abstract))
        splits.append(SPLITS.index(split_of(data, paper.id, paper.submitted)))
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
    return Chunk(len(records), batch, keys, list(places), dropped, broken)


def same_text(title: str, abstract: str) -> bytes:
    """Return what two copies of one paper share: their letters and digits, lower case, as UTF-8."""
    return f"{title}{abstract}".casefold().encode().translate(None, NO_LETTER_OR_DIGIT)


def _hashes(contents: Iterable[bytes]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return 64 bits for each content, the same in every process."""
    digests = [hashlib.blake2b(content, digest_size=8).digest() for content in contents]
    return np.frombuffer(b"".join(digests), np.int64)


def _reason_to_drop(data: DataConfig, paper: Paper, abstract: str) -> str | None:
    if papers.is_withdrawn(abstract, paper.comments):
        return "withdrawn"
    if papers.is_foreign(paper.comments):
        return "not English"
    # Plain text has one blank fewer than words, where it has any.
    if abstract.count(" ") + bool(abstract) < data.min_words:
        return "too short"
    # Labels of one's own know no level: what they do not gather is another label's paper.
    of_own = isinstance(data.labels, dict)
    if not of_own and label_at(paper.categories[0], data.level) is None:
        return f"no {data.level}"
    return None
