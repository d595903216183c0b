"""The blocks of an unfinished index: each holds the papers of some consecutive records.

A block is a segment without a vector index, with two numbers more for each paper. It is complete or
missing, so that a killed build goes on with the first one that is missing.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from shelfmark.arxiv.identifiers import paper_key
from shelfmark.arxiv.papers import BrokenRecord, Paper, is_withdrawn
from shelfmark.arxiv.text import clean_text
from shelfmark.core import files
from shelfmark.core.arrays import Array, Ints
from shelfmark.core.npy import write_arrays
from shelfmark.data import sources
from shelfmark.data.cleaning import UnlistedCategory
from shelfmark.data.duplicates import hash_contents, revision_number
from shelfmark.embeddings import artifact
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.search.papers import FILE, PaperRow, write_papers
from shelfmark.search.segment import (
    CATEGORIES,
    DAYS,
    PRIMARY,
    SCALES,
    VECTORS,
    Segment,
    read_card,
    write_card,
)
from shelfmark.search.vectors.stored import StoredVectors
from shelfmark.search.words.postings import Postings

KEYS, REVISIONS = "keys.npy", "revisions.npy"
RECORDS = 8192  # of a block
MOST_NAMES = 100  # authors of a paper that are listed by name
NOTE = "note"  # what a block without papers holds instead


@dataclass(frozen=True)
class BlockPlan:
    """How the blocks of a build are made; workers receive it.

    Args:
        folder: of the blocks.
        source: of the records, as `data.source`.
        encoder: of the texts.
        size: the numbers of a vector.
    """

    folder: Path
    source: str
    encoder: LocatedEncoder
    size: int

    def block(self, number: int) -> Path:
        """Return the folder of a block."""
        return self.folder / f"{number:06d}"


@dataclass(frozen=True)
class NumberedRecords:
    """The records of a block.

    Args:
        number: of the block.
        file: place of their file among all files.
        read: number of records that were read for it.
        records: those that it is made of; None if the block exists.
    """

    number: int
    file: int
    read: int
    records: Sequence[tuple[int, Any]] | None


@dataclass(frozen=True)
class BlockCounts:
    """What a block was made of.

    Args:
        file: place of its file among all files.
        read: number of records.
        broken: the records that hold no paper.
        deleted: identifiers of the papers that its records delete.
        papers: number of its papers.
        known: number of records that were left out, as an index has them already.
        unlisted: the categories that the taxonomy lacks are not counted.
    """

    file: int
    read: int
    broken: list[BrokenRecord]
    deleted: list[str]
    papers: int
    known: int = 0
    unlisted: dict[str, UnlistedCategory] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: bytes) -> BlockCounts:
        """Return the counts in the note of a block."""
        values = orjson.loads(content)
        broken = [BrokenRecord(**record) for record in values.pop("broken")]
        return cls(broken=broken, **values)


def make_block(plan: BlockPlan, numbered: NumberedRecords) -> BlockCounts:
    """Write a block and return its counts; of one that exists, only return them.

    Args:
        plan: of the build.
        numbered: the records.

    Raises:
        ShelfmarkError: the disk is full, or the encoder cannot be opened.
    """
    folder = plan.block(numbered.number)
    if numbered.records is None:
        return BlockCounts.from_json(files.read_bytes(folder / NOTE))
    remaining, deleted = _split_deleted(numbered.records)
    papers, broken = [], []
    for paper in sources.parse_records(plan.source, remaining):
        if isinstance(paper, BrokenRecord):
            broken.append(paper)
        else:
            papers.append(paper)
    known = numbered.read - len(numbered.records)
    counts = BlockCounts(numbered.file, numbered.read, broken, deleted, len(papers), known)
    with files.atomic_folder(folder) as aside:
        (aside / NOTE).write_bytes(orjson.dumps(counts))
        if papers:
            write_block(papers, _encoder_of_process(plan.encoder), plan.size, aside)
    return counts


@functools.cache
def _encoder_of_process(located: LocatedEncoder) -> OpenEncoder:
    encoder = artifact.load(located.folder, threads=1, digest=located.digest)
    gc.freeze()  # or the collector walks through all libraries again and again
    return encoder


def _split_deleted(
    records: Iterable[tuple[int, Any]],
) -> tuple[list[tuple[int, Any]], list[str]]:
    """Return the records of papers, and the identifiers of those that are deleted.

    A harvest notes the papers that arXiv has deleted as `{"id": …, "deleted": true}`.
    """
    papers, deleted = [], []
    for line, record in records:
        if isinstance(record, bytes) and b'"deleted"' in record:
            with contextlib.suppress(orjson.JSONDecodeError):  # parse_records gives the reason
                record = orjson.loads(record)
        is_deletion = isinstance(record, dict) and record.get("deleted") is True
        if is_deletion and (key := paper_key(record.get("id"))):
            deleted.append(key)
        else:
            papers.append((line, record))
    return papers, deleted


def write_block(papers: Sequence[Paper], encoder: OpenEncoder, size: int, folder: Path) -> None:
    """Write papers as a block.

    Args:
        papers: at least one.
        encoder: of their texts.
        size: the numbers of a vector.
        folder: empty, or with a note.

    Raises:
        ShelfmarkError: the disk is full.
    """
    rows = [_row(paper) for paper in papers]
    texts = [encoder.text(paper.title, paper.abstract) for paper in papers]
    vectors = StoredVectors.round(encoder.encode(texts, size))
    names, primary, categories = _number_categories([paper.categories for paper in papers])
    arrays: dict[str, Array] = {
        VECTORS: np.asarray(vectors.rows[:]),
        SCALES: vectors.scales,
        PRIMARY: primary,
        CATEGORIES: categories,
        DAYS: np.array([paper.submitted.toordinal() for paper in papers], np.int32),
        KEYS: hash_contents([paper.id.encode() for paper in papers]),
        REVISIONS: np.array([revision_number(p.version, p.updated) for p in papers], np.int64),
    }
    specs = write_arrays(folder, arrays)
    postings = Postings.of_papers([row.title for row in rows], [row.abstract for row in rows])
    specs |= postings.save(folder)
    write_papers(folder / FILE, rows)
    write_card(folder, specs, papers=len(rows), size=size, categories=names)


def _row(paper: Paper) -> PaperRow:
    return PaperRow(
        id=paper.id,
        title=clean_text(paper.title),
        abstract=clean_text(paper.abstract),
        authors=list_authors(paper.authors),
        categories=" ".join(paper.categories),
        submitted=paper.submitted.isoformat(),
        updated=None if paper.updated is None else paper.updated.isoformat(),
        version=paper.version,
        withdrawn=int(is_withdrawn(paper.abstract, paper.comments)),
    )


def list_authors(authors: object) -> str:
    """Return the names of authors as people read them, with commas between them.

    Args:
        authors: as the source writes them: a text, or a list of [surname, given names, suffix] as
            `authors_parsed` of arXiv's snapshot is. Anything else names no author.
    """
    if isinstance(authors, str):
        return clean_text(authors)
    if not isinstance(authors, list):
        return ""
    names = []
    for entry in authors:
        if isinstance(entry, list) and entry and all(isinstance(part, str) for part in entry):
            surname, given, suffix, *_ = [*entry, "", ""]
            name = " ".join(part for part in (given, surname, suffix) if part.strip())
            names.append(clean_text(name))
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _number_categories(of_papers: Sequence[Sequence[str]]) -> tuple[list[str], Array, Array]:
    """Return the names of categories, and `primary` and `categories` as `Columns` has them."""
    names = sorted({name for categories in of_papers for name in categories})
    numbers = {name: number for number, name in enumerate(names)}
    has = np.zeros((len(names), len(of_papers)), bool)
    for row, categories in enumerate(of_papers):
        has[[numbers[name] for name in categories], row] = True
    primary = np.array([numbers[categories[0]] for categories in of_papers], np.uint16)
    return names, primary, np.packbits(has, axis=1)


class Block:
    """A block that is open for reading.

    Args:
        folder: of the block.

    Attributes:
        segment: its papers.
        keys: the hash of each paper's identifier, int64.
        revisions: of each paper, as `revision_number` returns them, int64.

    Raises:
        ShelfmarkError: a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.segment = Segment(folder, read_card(folder)[0])
        self.keys: Ints = np.array(self.segment.files.array(KEYS))
        self.revisions: Ints = np.array(self.segment.files.array(REVISIONS))

    def close(self) -> None:
        """Close its files."""
        self.segment.close()
