"""Whether a report still says what its figures say: its pictures, and every number of its text.

A number passes if it is the rounding of one among the figures that the mark above it names (see
`report_tables`), to the digits it shows. Code, links and headings are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from shelfmark.errors import ShelfmarkError
from shelfmark.reports import charts
from shelfmark.reports import collect as report_runs
from shelfmark.reports import numbers as report_numbers
from shelfmark.reports.collect import DRIFT, FIGURES, METRICS, PAGE
from shelfmark.reports.numbers import Source
from shelfmark.reports.tables import ANY, FROM

TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
AGAIN = "write the report anew, inv report"


def check(reports: Path) -> list[str]:
    """Return what is wrong with the report of a folder, a line each.

    Raises:
        ShelfmarkError: there is no report.
    """
    try:
        text = (reports / PAGE).read_text(encoding="utf-8")
    except OSError as error:
        raise ShelfmarkError(f"no report in {reports}: write it with inv report") from error
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    return [*_Reader(reports).numbers(tokens), *_pictures(tokens, reports), *_old(reports)]


class _Reader:
    """Goes through a page, and knows which figures the numbers at a place may come from."""

    def __init__(self, reports: Path) -> None:
        self._figures = reports / FIGURES
        self._sources: list[Source] = []
        self._columns: list[str] = []  # the key of each column of the next table
        self._names: list[str] = []  # what a row is about, as its first cell says
        self._cell: int | None = None  # of the row that is read
        self._line = 0

    def numbers(self, tokens: list[Token]) -> Iterator[str]:
        """Go through what is wrong with the numbers of a page."""
        heading = False
        for token in tokens:
            self._line = token.map[0] + 1 if token.map else self._line
            if token.type in ("heading_open", "heading_close"):
                heading = token.type == "heading_open"
                self._sources, self._columns = [], []
            elif token.type in ("tr_open", "table_close"):
                self._cell = 0 if token.type == "tr_open" else None
            elif token.type == "html_block":
                yield from self._named(token.content)
                yield from self._told(TAG.sub(" ", token.content), self._sources)
            elif token.type == "inline" and not heading:
                yield from self._inline(token.children or [])

    def _inline(self, children: list[Token]) -> Iterator[str]:
        sources = self._sources
        if self._cell is not None:
            if self._cell == 0:
                self._names = [x.content for x in children if x.type == "code_inline"]
            sources = self._of_cell()
            self._cell += 1
        yield from self._told(_prose(children), sources)

    def _of_cell(self) -> list[Source]:
        """Return the figures of a row and, where it has a key, of its column."""
        key = dict(enumerate(self._columns)).get(self._cell or 0, ANY)
        if key == ANY:
            return report_numbers.narrowed(self._sources, self._names)
        orders = ([*self._names, key], [key, *self._names])
        return [x for order in orders for x in report_numbers.narrowed(self._sources, order)]

    def _told(self, text: str, sources: list[Source]) -> Iterator[str]:
        for number in report_numbers.unfounded(text, sources):
            yield f"{PAGE}:{self._line}: {number} is not the figure that should stand there"

    def _named(self, comment: str) -> Iterator[str]:
        """Take the sources and the columns that a mark names."""
        for sources, columns in FROM.findall(comment):
            self._sources, self._columns = [], columns.split()
            for path in sources.split():
                run, *keys = path.split("/")
                try:
                    tree = report_runs.read(self._figures / run / METRICS)
                    model = str(tree.get("model"))
                    for key in keys:
                        tree = tree[key]
                except (ShelfmarkError, KeyError):
                    yield f"{PAGE}:{self._line}: there are no figures {path} in {self._figures}"
                else:
                    self._sources.append(Source(tree, model, whole=bool(keys)))


def _prose(children: list[Token]) -> str:
    """Return the text outside code, links and pictures."""
    parts, links = [], 0
    for child in children:
        links += child.nesting if child.type in ("link_open", "link_close") else 0
        if child.type == "text" and not links:
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak", "code_inline"):
            parts.append(" ")
    return "".join(parts)


def _pictures(tokens: list[Token], reports: Path) -> Iterator[str]:
    """Go through what is wrong with the pictures that a page shows."""
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":
                path = reports / unquote(str(child.attrs["src"]))
                if fault := _fault(path):
                    yield f"{path}: {fault}"


def _fault(path: Path) -> str | None:
    try:
        created = report_runs.read(path.parent / METRICS).get("created")
        shown = charts.mark(path)
    except ShelfmarkError:
        return f"it or its {METRICS} is missing or damaged; {AGAIN}"
    if shown.run != path.parent.name or shown.created is None:
        return f"it does not show {path.parent.name}, but {shown.run}; {AGAIN}"
    if shown.created != created:
        older = "is older than" if shown.created < str(created) else "is not of"
        return f"it {older} its run, {shown.created} and {created}; {AGAIN}"
    return None


def _old(reports: Path) -> Iterator[str]:
    """Go through the runs beside a report that were made again since."""
    for figures in sorted((reports / FIGURES).glob(f"*/{METRICS}")):
        name = figures.parent.name
        newest = reports / name / ("latest/" + DRIFT if name == "drift" else METRICS)
        if not newest.is_file():
            continue  # as in a clone
        made, told = (str(report_runs.read(path).get("created")) for path in (newest, figures))
        if made > told:
            yield f"{figures.parent}: {newest} is newer, {made}; {AGAIN}"
