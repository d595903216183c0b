"""Which records become papers worth keeping, with every other one counted by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from loguru import logger

from shelfmark import console, papers, sources
from shelfmark.config import DataConfig
from shelfmark.errors import ShelfmarkError
from shelfmark.papers import Broken, Paper
from shelfmark.taxonomy import label_at
from shelfmark.text import plain

# Broken records are held against the share allowed only once this many were read, so that one
# near the start of a good file does not stop it; the end of the file is always judged.
PATIENCE = 1000

# Identifier, plain title, plain abstract, categories, day of submission.
Row = tuple[str, str, str, tuple[str, ...], date]


class Ledger:
    """Counts what happened to every record read, and stops at too many broken ones."""

    def __init__(self, max_bad: float, origin: str) -> None:
        self.read = 0
        self.dropped: Counter[str] = Counter()
        self._max_bad = max_bad
        self._origin = origin
        self._last = Broken(0, "")

    def broken(self, record: Broken) -> None:
        """Count a broken record.

        Raises:
            ShelfmarkError: they are more than the share allowed.
        """
        self.dropped["broken"] += 1
        self._last = record
        logger.debug("{}: line {}: {}", self._origin, record.line, record.reason)
        self._judge(max(self.read, PATIENCE))

    def close(self) -> None:
        """Judge the whole source once it is read.

        Raises:
            ShelfmarkError: it held nothing, or more broken records than the share allowed.
        """
        if self.read == 0:
            raise ShelfmarkError(f"{self._origin}: holds no papers")
        self._judge(self.read)
        if self.dropped["broken"]:
            logger.warning(
                "{}: skipped {} broken records of {:,}, the last at line {}: {}",
                self._origin,
                self.dropped["broken"],
                self.read,
                self._last.line,
                self._last.reason,
            )

    def _judge(self, read: int) -> None:
        broken = self.dropped["broken"]
        if broken > self._max_bad * read:
            raise ShelfmarkError(
                f"{self._origin}: line {self._last.line}: {self._last.reason}; {broken} of "
                f"{self.read} records broken, more than data.max_bad={self._max_bad:g} allows"
            )


def clean_rows(data: DataConfig, path: Path | None, ledger: Ledger) -> Iterator[Row]:
    """Stream the papers worth keeping, their text plain.

    Raises:
        ShelfmarkError: the source cannot be read, is empty, or has too many broken records.
    """
    with console.progress("reading papers") as bar:
        for paper in sources.stream(data.source, path, data.options):
            ledger.read += 1
            if ledger.read % 1000 == 0:
                bar.advance(1000)
            if isinstance(paper, Broken):
                ledger.broken(paper)
                continue
            title, abstract = plain(paper.title), plain(paper.abstract)
            reason = _reason_to_drop(data, paper, abstract)
            if reason:
                ledger.dropped[reason] += 1
            else:
                yield paper.id, title, abstract, paper.categories, paper.submitted
    ledger.close()


def _reason_to_drop(data: DataConfig, paper: Paper, abstract: str) -> str | None:
    if papers.withdrawn(abstract, paper.comments):
        return "withdrawn"
    if papers.foreign(paper.comments):
        return "not English"
    # Plain text has one blank fewer than words, where it has any.
    if abstract.count(" ") + bool(abstract) < data.min_words:
        return "too short"
    if label_at(paper.categories[0], data.level) is None:
        return f"no {data.level}"
    return None
