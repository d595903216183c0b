"""Cleaning: records become rows of the splits; dropped and broken records are counted.

Worker processes import this module, so it needs little.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from loguru import logger

from shelfmark.arxiv import papers, taxonomy
from shelfmark.arxiv.authors import parse_authors
from shelfmark.arxiv.papers import BrokenRecord, Paper
from shelfmark.arxiv.text import clean_text, join_texts
from shelfmark.config.schema import DataConfig
from shelfmark.core.arrays import Array
from shelfmark.data import sources
from shelfmark.data.duplicates import (
    best_of_each,
    hash_contents,
    newest_of_each,
    revision_number,
)
from shelfmark.data.splits import SPLITS, assign_split, schema_of
from shelfmark.errors import ShelfmarkError

# Records to read before the share of broken ones is compared with the limit, so that one near the
# start does not stop a good file; at the end it is always compared.
MIN_READ = 1000
MOST_WARNINGS = 10  # about categories that the taxonomy lacks
NO_LETTER_OR_DIGIT = bytes(i for i in range(128) if not chr(i).isalnum())

# The numbers of a paper: hashes of its identifier and of its text, its revision, its day as an
# ordinal, indices of its split and of its primary category, and a `Reason`.
KEYS = {
    "id": np.int64, "text": np.int64, "revision": np.int64, "day": np.int32, "split": np.int8,
    "primary": np.int32, "reason": np.int8,
}  # fmt: skip

# As in `cleaned_schema`: identifier, title, abstract, text, categories, day of submission, and the
# authors where the splits have them.
Row = tuple[str | date | Sequence[str], ...]


class Reason(IntEnum):
    """Why a paper is dropped: first the reasons of cleaning, then those of the whole source."""

    KEPT = 0
    WITHDRAWN = 1
    NOT_ENGLISH = 2
    TOO_SHORT = 3
    NO_LABEL = 4
    UNKNOWN_ARCHIVE = 5
    DUPLICATE_ID = 6
    DUPLICATE_TEXT = 7
    OTHER_LABEL = 8
    SURPLUS = 9


def reason_names(data: DataConfig) -> dict[Reason, str]:
    """Return the names of the reasons to drop a paper, as the data card has them."""
    return {
        Reason.WITHDRAWN: "withdrawn",
        Reason.NOT_ENGLISH: "not English",
        Reason.TOO_SHORT: "too short",
        Reason.NO_LABEL: f"no {data.level}",
        Reason.UNKNOWN_ARCHIVE: "unknown archive",
        Reason.DUPLICATE_ID: "duplicate identifier",
        Reason.DUPLICATE_TEXT: "duplicate text",
        Reason.OTHER_LABEL: "other label",
        Reason.SURPLUS: "more than data.max_papers",
    }


@dataclass
class UnlistedCategory:
    """A category that the taxonomy lacks: the first paper that has it, and the number of papers."""

    first: str
    papers: int = 0

    def add(self, name: str, among: dict[str, UnlistedCategory]) -> None:
        """Add the papers to those of the same category."""
        among.setdefault(name, UnlistedCategory(self.first)).papers += self.papers


@dataclass(frozen=True)
class CleanedChunk:
    """The rows of some consecutive records, and numbers of all their papers.

    Args:
        read: number of records.
        rows: rows of `cleaned_schema`, without the papers that are dropped.
        keys: for each paper that could be read, dropped or not, the numbers of `KEYS`. `split` is
            an index into `SPLITS`, `primary` one into `categories`; a dropped paper has 0 in both,
            and the hash of an empty text.
        categories: the primary categories of the rows.
        broken: the unreadable records.
        unlisted: for each category that the taxonomy lacks, its papers and the first of them.
        file: place of their file among all files of the source.
    """

    read: int
    rows: pa.RecordBatch
    keys: dict[str, Array]
    categories: list[str]
    broken: list[BrokenRecord]
    file: int = 0
    unlisted: dict[str, UnlistedCategory] = field(default_factory=dict)


class CountedRecords(Protocol):
    """What `RecordCounts` reads of some consecutive records of a file."""

    @property
    def file(self) -> int:
        """The place of their file among all files of the source."""

    @property
    def read(self) -> int:
        """The number of records."""

    @property
    def broken(self) -> list[BrokenRecord]:
        """The unreadable records."""

    @property
    def unlisted(self) -> dict[str, UnlistedCategory]:
        """The papers of each category that the taxonomy lacks."""


class RecordCounts:
    """Counts the records that were read and broken; fails if too many are broken.

    Args:
        max_bad: the largest share of broken records, over all files.
        files: the name of each file of the source.

    Attributes:
        read: number of records of each file.
        broken: number of broken records of each file.
        unlisted: the categories that the taxonomy lacks.
    """

    def __init__(self, max_bad: float, files: Sequence[str]) -> None:
        self.read = [0] * len(files)
        self.broken = [0] * len(files)
        self.unlisted: dict[str, UnlistedCategory] = {}
        self._max_bad = max_bad
        self._files = files
        self._first = ""

    def add(self, chunk: CountedRecords) -> None:
        """Count the records of the next chunk.

        Raises:
            ShelfmarkError: the share of broken records exceeds the limit.
        """
        self.read[chunk.file] += chunk.read
        self.broken[chunk.file] += len(chunk.broken)
        for name, found in chunk.unlisted.items():
            found.add(name, self.unlisted)
        lines = [f"{self._files[chunk.file]}: line {x.line}: {x.reason}" for x in chunk.broken]
        for line in lines:
            logger.debug("{}", line)
        if lines:
            self._first = self._first or lines[0]
            self._check_share(max(sum(self.read), MIN_READ))

    def close(self) -> None:
        """Check the counts of the whole source.

        Raises:
            ShelfmarkError: it has no records, or the share of broken records exceeds the limit.
        """
        empty = [file for file, read in zip(self._files, self.read, strict=True) if not read]
        if len(empty) == len(self._files):
            raise ShelfmarkError(f"{', '.join(empty)}: holds no papers")
        for file in empty:
            logger.warning("{}: holds no papers", file)
        self._check_share(sum(self.read))
        if self._first:
            logger.warning("{}, skipped", self._describe())
        for name, found in itertools.islice(self.unlisted.items(), MOST_WARNINGS):
            logger.warning(
                "category {} of {} is not in the taxonomy of {}: kept as it is, in {:,} papers; "
                "data.categories may name it", name, found.first, taxonomy.AS_OF, found.papers
            )  # fmt: skip
        if (more := len(self.unlisted) - MOST_WARNINGS) > 0:
            logger.warning("and {:,} more such categories: the data card lists them", more)

    def _check_share(self, read: int) -> None:
        if self._first and sum(self.broken) > self._max_bad * read:
            description = self._describe()
            raise ShelfmarkError(f"{description}, more than data.max_bad={self._max_bad:g} allows")

    def _describe(self) -> str:
        return f"{self._first}; {sum(self.broken)} of {sum(self.read)} records broken"


def clean_records(data: DataConfig, records: list[tuple[int, Any]], file: int = 0) -> CleanedChunk:
    """Turn consecutive raw records of a file into rows; a pure function for any process."""
    rows: list[Row] = []
    hashed: list[bytes] = []
    numbers: list[tuple[int, ...]] = []
    places: dict[str, int] = {}
    broken = []
    unlisted: dict[str, UnlistedCategory] = {}
    for paper in sources.parse_records(data.source, records):
        if isinstance(paper, BrokenRecord):
            broken.append(paper)
            continue
        for name in taxonomy.find_unlisted(paper.categories, data.categories):
            UnlistedCategory(paper.id, 1).add(name, unlisted)
        title, abstract = clean_text(paper.title), clean_text(paper.abstract)
        reason = _reason_to_drop(data, paper, abstract)
        key, split, primary = b"", 0, 0
        if reason is Reason.KEPT:
            text = join_texts(title, abstract, data.maths)
            names = (parse_authors(paper.authors),) if data.authors else ()
            row = (paper.id, title, abstract, text, paper.categories, paper.submitted, *names)
            rows.append(row)
            key = text_key(title, abstract)
            split = SPLITS.index(assign_split(data, paper.id, paper.submitted))
            primary = places.setdefault(paper.categories[0], len(places))
        hashed += paper.id.encode(), key
        revision = revision_number(paper.version, paper.updated)
        numbers.append((revision, paper.submitted.toordinal(), split, primary, reason))
    hashes = hash_contents(hashed)
    columns = np.array(numbers, np.int64).reshape(-1, 5).T
    named = zip(("revision", "day", "split", "primary", "reason"), columns, strict=True)
    keys = {"id": hashes[::2], "text": hashes[1::2], **dict(named)}
    keys = {name: keys[name].astype(kind) for name, kind in KEYS.items()}
    schema = cleaned_schema(data)
    batch = pa.record_batch(list(zip(*rows, strict=True)) or [()] * len(schema), schema=schema)
    return CleanedChunk(len(records), batch, keys, list(places), broken, file, unlisted)


def cleaned_schema(data: DataConfig) -> pa.Schema:
    """Return the columns of cleaned rows: those of the splits without the label."""
    return pa.schema([field for field in schema_of(data.authors) if field.name != "label"])


def text_key(title: str, abstract: str) -> bytes:
    """Return the letters and digits of a paper, lower case, as UTF-8: equal for its copies."""
    return f"{title}{abstract}".casefold().encode().translate(None, NO_LETTER_OR_DIGIT)


def _reason_to_drop(data: DataConfig, paper: Paper, abstract: str) -> Reason:
    if papers.is_withdrawn(abstract, paper.comments):
        return Reason.WITHDRAWN
    if papers.is_foreign(paper.comments):
        return Reason.NOT_ENGLISH
    # Plain text has one blank less than words, unless it is empty.
    if abstract.count(" ") + bool(abstract) < data.min_words:
        return Reason.TOO_SHORT
    if data.unlabelled == "keep":
        return Reason.KEPT
    # Custom labels have no level.
    custom = isinstance(data.labels, dict)
    if not custom and taxonomy.label_at(paper.categories[0], data.level) is None:
        archive = taxonomy.archive_of(paper.categories[0])
        return Reason.NO_LABEL if archive in taxonomy.ARCHIVES else Reason.UNKNOWN_ARCHIVE
    return Reason.KEPT


def mark_duplicates(keys: Mapping[str, Array]) -> Array:
    """Return the reason of each paper, with all but one record of each paper and text dropped.

    The newest record of a paper counts, and what it is dropped for holds for the paper: no older
    record replaces it. Where nothing tells two records of a file apart, one that is kept comes
    first, then the earliest day of submission. Of the papers with one text the earliest is kept.

    Args:
        keys: the numbers of `KEYS` of all papers, and `file`, the place of the file of each.
    """
    columns = {name: np.asarray(keys[name]) for name in ("id", "revision", "file", "day", "text")}
    reason = np.asarray(keys["reason"])
    newest = newest_of_each(
        columns["id"], columns["revision"], columns["file"], reason != Reason.KEPT, columns["day"]
    )
    reason = np.where(newest, reason, np.int8(Reason.DUPLICATE_ID))
    rows = np.flatnonzero(reason == Reason.KEPT)
    first = best_of_each(columns["text"][rows], columns["day"][rows])
    reason[rows[~first]] = Reason.DUPLICATE_TEXT
    return reason
