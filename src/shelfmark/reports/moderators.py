"""The moderators' table: new papers, those that need a moderator's attention first."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from loguru import logger

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.harvest import HarvestResult
from shelfmark.arxiv.papers import BadRecordError, Paper, is_withdrawn
from shelfmark.core import console, files, pages, parallel
from shelfmark.core.formats.records import open_lines
from shelfmark.core.output.cells import escape_formula
from shelfmark.data.sources import snapshot
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from shelfmark.models.answers import Answer
    from shelfmark.models.artifact import Model

BATCH = 64  # papers
MIN_PARALLEL = 16  # batches that repay the start of other processes
MAX_WORDS = 6
AGREES, DISAGREES, NOT_SURE = "agrees", "disagrees", "not sure"
SIGNS = {DISAGREES: "✗", NOT_SURE: "?", AGREES: "✓"}  # so that the colour is not all


@dataclass(frozen=True)
class Row:
    """One paper of the table.

    Args:
        id: arXiv's identifier.
        title: on one line.
        primary: the category that its author chose.
        shelf: the category that the model predicts.
        name: the full name of that category.
        confidence: its probability.
        verdict: agrees, disagrees or not sure.
        grade: the model's own verdict on its prediction: sure, likely or open.
        scope: whether the paper is one for the model: in, doubtful or outside.
        same: whether the prediction is the author's category, confident or not.
        note: what the prediction is worth, or why the model has no verdict.
        cross_lists: suggested categories that the paper does not list.
        words: those that contribute most to the prediction, the strongest first.
        unlisted: the paper's categories that neither the taxonomy nor the model names.
    """

    id: str
    title: str
    primary: str
    shelf: str
    name: str
    confidence: float
    verdict: str
    grade: str
    scope: str
    same: bool
    note: str
    cross_lists: tuple[str, ...]
    words: tuple[str, ...]
    unlisted: tuple[str, ...] = ()

    @property
    def notes(self) -> str:
        """The note, and one on each category that is not listed."""
        new = [f"{name} is not in the taxonomy of {taxonomy.AS_OF}" for name in self.unlisted]
        return "; ".join([self.note, *new] if self.note else new)

    @property
    def link(self) -> str:
        """The address of the paper on arXiv."""
        return f"https://arxiv.org/abs/{self.id}"

    def cells(self) -> dict[str, str]:
        """Return the cells of the CSV file by column."""
        return {
            "id": self.id,
            "link": self.link,
            "title": self.title,
            "primary": self.primary,
            "shelf": self.shelf,
            "confidence": f"{self.confidence:.4f}",
            "verdict": self.verdict,
            "grade": self.grade,
            "scope": self.scope,
            "cross_lists": " ".join(self.cross_lists),
            "words": ", ".join(self.words),
            "note": self.notes,
        }


@dataclass(frozen=True)
class Summary:
    """The files of a table, and how many papers have each verdict.

    Args:
        stem: path of the files, without `.csv` and `.html`.
        papers: rows of the table.
        verdicts: number of papers by verdict.
    """

    stem: Path
    papers: int
    verdicts: Counter[str]

    def __str__(self) -> str:
        counts = self.verdicts
        return (
            f"{self.stem}.csv and .html: {self.papers:,} papers, {counts[DISAGREES]:,} disagree, "
            f"{counts[NOT_SURE]:,} not sure, {counts[AGREES]:,} agree"
        )


def check_model(folder: Path, days: int) -> Path:
    """Return the folder of a model, after a check that comes before hours of requests.

    Raises:
        ShelfmarkError: the model is missing or damaged, or the days are negative.
    """
    if days < 0:
        raise ShelfmarkError(f"--days: {days}: give 0 or more")
    from shelfmark.models import artifact

    artifact.check(folder)
    return folder.resolve()  # `latest` may be another by then


def write_table(folder: Path, harvest: HarvestResult, out: Path, days: int) -> Summary:
    """Classify the papers of a harvest, and write the table as CSV and as an HTML page.

    The table leaves out papers submitted more than `days` before the harvest's first day, which are
    updates of old ones, and withdrawn papers, which have no content.

    Args:
        folder: of the model.
        harvest: its papers.
        out: folder of the tables, which the day of the repository names.
        days: how long before the first day a new paper may have been submitted.

    Returns:
        The files and the verdicts.

    Raises:
        ShelfmarkError: the model cannot be read, or the table cannot be written.
    """
    papers = _read_new_papers(harvest, days)
    batches = iter(lambda: list(itertools.islice(papers, BATCH)), [])
    first = list(itertools.islice(batches, MIN_PARALLEL))
    workers = None if len(first) == MIN_PARALLEL else 0
    rows: list[Row] = []
    work = functools.partial(_classify_batch, folder)
    answered = parallel.map_in_order(work, itertools.chain(first, batches), workers)
    with contextlib.closing(answered), console.progress("predicting") as bar:
        for batch_rows in answered:
            rows += batch_rows
            bar.advance(len(batch_rows))
    rows.sort(key=_attention_order)
    summary = Summary(
        out / f"moderators-{harvest.day}", len(rows), Counter(row.verdict for row in rows)
    )
    _warn_unlisted(rows)
    _write_csv(rows, summary.stem.with_suffix(".csv"))
    source = f"Changes since {harvest.since}, harvested on {harvest.day}. Model {folder.name}."
    with files.atomic_write(summary.stem.with_suffix(".html")) as file:
        file.write(render_page(rows, source).encode())
    return summary


def render_page(rows: Sequence[Row], source: str) -> str:
    """Return the table as an HTML page that needs no other file.

    Args:
        rows: in the order of the table.
        source: a line that names the harvest and the model.
    """
    return pages.render(
        "reports/templates/moderators.html",
        rows=rows,
        source=source,
        verdicts=Counter(row.verdict for row in rows),
        signs=SIGNS,
    )


def _read_new_papers(harvest: HarvestResult, days: int) -> Iterator[Paper]:
    """Yield the papers of a harvest that are newly submitted and not withdrawn."""
    oldest = harvest.since - timedelta(days=days)
    with open_lines(harvest.path) as lines:
        for line in lines:
            try:
                if _update_date(line) < harvest.since.isoformat():
                    continue
                paper = snapshot.parse_paper(line)
            except BadRecordError as error:
                logger.warning("left out of the table: {}", error)
                continue
            if paper.submitted >= oldest and not is_withdrawn(paper.abstract, paper.comments):
                yield paper


def _update_date(line: bytes) -> str:
    try:
        return str(orjson.loads(line).get("update_date") or "")
    except (orjson.JSONDecodeError, AttributeError):
        raise BadRecordError("a line without a record") from None


@functools.cache
def _load_model(folder: Path) -> Model:
    from shelfmark.models import artifact

    return artifact.load(folder, threads=1)


def _classify_batch(folder: Path, papers: list[Paper]) -> list[Row]:
    from shelfmark.models import answers

    asked = [
        answers.PaperQuery(paper.title, paper.abstract, 1, True, paper.categories[0])
        for paper in papers
    ]
    model = _load_model(folder)
    predictions = answers.answer_queries(model, asked)
    added = model.targets.data.categories
    return [
        _make_row(paper, answer, taxonomy.find_unlisted(paper.categories, added))
        for paper, answer in zip(papers, predictions, strict=True)
    ]


def _make_row(paper: Paper, answer: Answer, unlisted: Sequence[str] = ()) -> Row:
    own, why = answer.primary, answer.why
    assert own is not None, "asked for"
    assert why is not None, "asked for"
    verdict = NOT_SURE
    if answer.confident:
        verdict = AGREES if own.agrees else DISAGREES
    lists = [cross_list.category for cross_list in answer.cross_lists]
    return Row(
        id=paper.id,
        title=" ".join(paper.title.split()),
        primary=paper.categories[0],
        shelf=answer.category,
        name=answer.name,
        confidence=answer.confidence,
        verdict=verdict,
        grade=answer.verdict,
        scope=answer.scope,
        same=own.agrees,
        note=answer.sentence.rstrip("."),
        cross_lists=tuple(name for name in lists if name not in paper.categories),
        words=tuple(x.word for x in why.words if x.weight > 0)[:MAX_WORDS],
        unlisted=tuple(unlisted),
    )


def _warn_unlisted(rows: Sequence[Row]) -> None:
    """Warn once of each category that is not listed, with its first paper."""
    first = {name: row.id for row in reversed(rows) for name in row.unlisted}
    for name, ident in sorted(first.items()):
        logger.warning("{} of {} is not in the taxonomy of {}", name, ident, taxonomy.AS_OF)


def _attention_order(row: Row) -> tuple[int, float, str]:
    """Return the sort key: disagreements, unsure papers, agreements; the most striking first."""
    if row.verdict == DISAGREES:
        place = 0
    elif row.verdict == AGREES:
        place = 4
    elif row.scope != "in":
        place = 3  # the model has no verdict
    else:
        place = 2 if row.same else 1
    return place, row.confidence if row.same else -row.confidence, row.id


def _write_csv(rows: list[Row], path: Path) -> None:
    empty = Row("", "", "", "", "", 0.0, "", "", "", False, "", (), ())
    with files.atomic_write(path) as file:
        # The byte order mark at the start lets spreadsheets recognise UTF-8.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        table = csv.writer(text)
        table.writerow(empty.cells())
        table.writerows([escape_formula(cell) for cell in row.cells().values()] for row in rows)
        text.detach()
