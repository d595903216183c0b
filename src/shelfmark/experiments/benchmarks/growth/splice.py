"""As many papers as a measurement needs: the first of a source, or papers spliced from them."""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson

from shelfmark.arxiv.papers import Paper
from shelfmark.config.schema import DataConfig
from shelfmark.core import files
from shelfmark.data import sources
from shelfmark.errors import ShelfmarkError

CHUNK = 2048  # records read at a time
SEED = 7
SENTENCE = re.compile(r"(?<=[.!?]) +")
FEWEST_SENTENCES = 3  # of a spliced abstract, where its two papers have so many
MONTHS = [(year, month) for year in range(2015, 2027) for month in range(1, 13)]
MOST_A_MONTH = 99_999  # an identifier ends with five digits
DAYS = 28  # which every month has

Record = dict[str, Any]


def read_papers(data: DataConfig) -> Iterator[Paper]:
    """Yield the papers of a source in the order of its files, without broken records."""
    for _, chunk in sources.read_chunks(data, sources.find_files(data), CHUNK):
        for paper in sources.parse_records(data.source, chunk):
            if isinstance(paper, Paper):
                yield paper


def write_papers(path: Path, data: DataConfig, count: int) -> None:
    """Write a snapshot of so many papers: the first of a source, or spliced if it has fewer.

    Raises:
        ShelfmarkError: the source has no paper, identifiers do not suffice, or the disk is full.
    """
    papers = list(itertools.islice(read_papers(data), count))
    if not papers:
        raise ShelfmarkError("data.path: there is no paper to splice others from")
    records = map(_as_record, papers) if len(papers) == count else splice(papers, count)
    _write(path, records)


def splice(papers: Sequence[Paper], count: int) -> Iterator[Record]:
    """Yield papers of which each is spliced from two papers of the same primary category.

    The sentences of both abstracts alternate. The title begins as that of one and ends as that of
    the other; the categories are those of the first. So words, lengths and labels are like those
    of the papers, while a classifier's accuracy on the result tells nothing. The same papers and
    count give the same result.

    Args:
        papers: at least one.
        count: the number of papers to yield.

    Raises:
        ShelfmarkError: there are not so many identifiers.
    """
    most = len(MONTHS) * MOST_A_MONTH
    if count > most:
        raise ShelfmarkError(f"papers={count}: at most {most:,} papers can be spliced")
    rng = random.Random(SEED)
    of_primary = defaultdict(list)
    for paper in papers:
        of_primary[paper.categories[0]].append(paper)
    in_month = -(-count // len(MONTHS))
    for number in range(count):
        first = papers[rng.randrange(len(papers))]
        second = rng.choice(of_primary[first.categories[0]])
        year, month = MONTHS[number // in_month]
        day = date(year, month, 1 + number % DAYS)
        ident = f"{year % 100:02}{month:02}.{1 + number % in_month:05}"
        yield _as_record(_join(first, second, ident, day))


def _join(first: Paper, second: Paper, ident: str, day: date) -> Paper:
    sentences = [SENTENCE.split(" ".join(paper.abstract.split())) for paper in (first, second)]
    longest = max(FEWEST_SENTENCES, *map(len, sentences))
    mixed = [one for pair in zip(*sentences, strict=False) for one in pair][:longest]
    begin, end = first.title.split(), second.title.split()
    title = " ".join(begin[: len(begin) // 2 + 1] + end[len(end) // 2 :])
    return Paper(ident, title, " ".join(mixed), first.categories, day)


def _as_record(paper: Paper) -> Record:
    """Return a paper in the layout of arXiv's snapshot."""
    created = _created(paper.submitted)
    return {
        "id": paper.id,
        "title": paper.title,
        "abstract": paper.abstract,
        "categories": " ".join(paper.categories),
        "comments": paper.comments,
        "versions": [{"version": f"v{max(paper.version, 1)}", "created": created}],
        "update_date": str(paper.updated or paper.submitted),
    }


@functools.lru_cache(maxsize=1 << 15)
def _created(day: date) -> str:
    return format_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC), usegmt=True)


def _write(path: Path, records: Iterable[Record]) -> None:
    with files.atomic_write(path) as file:
        for record in records:
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
