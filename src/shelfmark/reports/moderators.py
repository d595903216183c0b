"""The moderators' table: newly submitted papers, those that need a moderator's eye first."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from loguru import logger

from shelfmark.arxiv.harvest import HarvestResult
from shelfmark.arxiv.papers import BadRecordError, Paper, is_withdrawn
from shelfmark.core import console, files, parallel
from shelfmark.data.sources import snapshot
from shelfmark.errors import ShelfmarkError
from shelfmark.reports.moderation_page import page

if TYPE_CHECKING:
    from shelfmark.models.artifact import Model

BATCH = 64  # papers
WORTH_SHARING = 16  # batches that repay the start of other processes
MOST_WORDS = 6
# A spreadsheet takes a cell that begins so for a formula, and would run it.
FORMULA = re.compile(r"[=+\-@\t\r\n]")
AGREES, DISAGREES, NOT_SURE = "agrees", "disagrees", "not sure"


@dataclass(frozen=True)
class Row:
    """A paper as a moderator sees it.

    Args:
        id: arXiv's identifier.
        title: on one line.
        primary: the category its author chose.
        shelf: the model's.
        name: the full name of that.
        confidence: the model's probability for it.
        verdict: agrees, disagrees or not sure.
        same: whether the shelf is the author's, sure or not.
        note: why a confident model says nothing of the author's category.
        cross_lists: suggested, and not among the paper's own.
        words: those that spoke most for the shelf, the strongest first.
    """

    id: str
    title: str
    primary: str
    shelf: str
    name: str
    confidence: float
    verdict: str
    same: bool
    note: str
    cross_lists: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def link(self) -> str:
        """The paper's page at arXiv."""
        return f"https://arxiv.org/abs/{self.id}"

    def cells(self) -> dict[str, str]:
        """Return what the table says of it, by column."""
        return {
            "id": self.id,
            "link": self.link,
            "title": self.title,
            "primary": self.primary,
            "shelf": self.shelf,
            "confidence": f"{self.confidence:.4f}",
            "verdict": self.verdict,
            "cross_lists": " ".join(self.cross_lists),
            "words": ", ".join(self.words),
            "note": self.note,
        }


def chosen(folder: Path, days: int) -> Path:
    """Return a model's own folder, seen to be sound: hours of fetching may lie before its use.

    Raises:
        ShelfmarkError: there is no sound model, or the days are fewer than none.
    """
    if days < 0:
        raise ShelfmarkError(f"--days: {days}: give 0 or more")
    from shelfmark.models import artifact

    artifact.check(folder)
    return folder.resolve()  # `latest` may be another by then


def write(folder: Path, harvest: HarvestResult, out: Path, days: int) -> str:
    """Classify the papers a harvest brought, and write the table as CSV and as a page.

    Papers submitted more than `days` before the harvest's first day are old ones that changed, and
    withdrawn ones carry no content: both are left out.

    Args:
        folder: a model's.
        harvest: where the papers are.
        out: folder of the tables, named by the repository's day.
        days: how long before the first day a new paper may have been submitted.

    Returns:
        What was written, on one line.

    Raises:
        ShelfmarkError: the model cannot be read, or the tables not be written.
    """
    papers = _new(harvest, days)
    batches = iter(lambda: list(itertools.islice(papers, BATCH)), [])
    first = list(itertools.islice(batches, WORTH_SHARING))
    workers = None if len(first) == WORTH_SHARING else 0
    rows: list[Row] = []
    work = functools.partial(_rows_of_batch, folder)
    answered = parallel.map_in_order(work, itertools.chain(first, batches), workers)
    with contextlib.closing(answered), console.progress("predicting") as bar:
        for found in answered:
            rows += found
            bar.advance(len(found))
    rows.sort(key=_attention)
    verdicts = Counter(row.verdict for row in rows)
    stem = out / f"moderators-{harvest.day}"
    _write_csv(rows, stem.with_suffix(".csv"))
    with files.atomic_write(stem.with_suffix(".html")) as file:
        cells = [(row.cells(), row.name) for row in rows]
        said = f"Changes since {harvest.since}, asked for on {harvest.day}. Model {folder.name}."
        file.write(page(cells, said).encode())
    return (
        f"{stem}.csv and .html: {len(rows):,} papers, {verdicts[DISAGREES]:,} disagree, "
        f"{verdicts[NOT_SURE]:,} not sure, {verdicts[AGREES]:,} agree"
    )


def _new(harvest: HarvestResult, days: int) -> Iterator[Paper]:
    """Yield the papers of a harvest that are newly submitted and not withdrawn."""
    oldest = harvest.since - timedelta(days=days)
    with files.open_decompressed(harvest.path) as lines:
        for line in lines:
            try:
                if _changed(line) < harvest.since.isoformat():
                    continue
                paper = snapshot.paper(line)
            except BadRecordError as error:
                logger.warning("left out of the table: {}", error)
                continue
            if paper.submitted >= oldest and not is_withdrawn(paper.abstract, paper.comments):
                yield paper


def _changed(line: bytes) -> str:
    try:
        return str(orjson.loads(line).get("update_date") or "")
    except (orjson.JSONDecodeError, AttributeError):
        raise BadRecordError("a line that holds no record") from None


@functools.cache
def _model(folder: Path) -> Model:
    from shelfmark.models import artifact

    return artifact.load(folder, threads=1)


def _rows_of_batch(folder: Path, papers: list[Paper]) -> list[Row]:
    from shelfmark.models import answers

    asked = [
        answers.Asked(paper.title, paper.abstract, 1, True, paper.categories[0]) for paper in papers
    ]
    found = answers.answer_each(_model(folder), asked)
    return [_row(*pair) for pair in zip(papers, found, strict=True)]


def _row(paper: Paper, answer: dict[str, Any]) -> Row:
    own = answer["primary"]
    verdict, note = NOT_SURE, ""
    if not own["known"]:
        note = f"the model does not know {own['category']}"
    elif answer["confident"]:
        verdict = AGREES if own["agrees"] else DISAGREES
    lists = [entry["category"] for entry in answer["cross_lists"]]
    return Row(
        id=paper.id,
        title=" ".join(paper.title.split()),
        primary=paper.categories[0],
        shelf=answer["category"],
        name=answer["name"] or "",
        confidence=answer["confidence"],
        verdict=verdict,
        same=own["agrees"],
        note=note,
        cross_lists=tuple(name for name in lists if name not in paper.categories),
        words=tuple(x["word"] for x in answer["why"]["words"] if x["weight"] > 0)[:MOST_WORDS],
    )


def _attention(row: Row) -> tuple[int, float, str]:
    """Order by need: confident disagreements, doubts, agreements; the oddest of each first."""
    if row.verdict == DISAGREES:
        place = 0
    elif row.verdict == AGREES:
        place = 4
    elif row.note:
        place = 3  # the model can say least of these
    else:
        place = 2 if row.same else 1
    return place, row.confidence if row.same else -row.confidence, row.id


def _write_csv(rows: list[Row], path: Path) -> None:
    empty = Row("", "", "", "", "", 0.0, "", False, "", (), ())
    with files.atomic_write(path) as file:
        # The mark at the start tells spreadsheets that this is UTF-8.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        table = csv.writer(text)
        table.writerow(empty.cells())
        table.writerows([_safe(cell) for cell in row.cells().values()] for row in rows)
        text.detach()


def _safe(cell: str) -> str:
    return f"'{cell}" if FORMULA.match(cell) else cell
