"""The check of a report against its figures: its pictures, and every number of its text.

A number is right if it is a figure, rounded to the digits shown, among those that the mark above it
names (see `sections`). Code, links and headings are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from shelfmark.errors import ShelfmarkError
from shelfmark.reports.collect import (
    FIGURES,
    METRICS,
    PAGE,
    Run,
    find_origin,
    read_figures,
    read_page,
    read_picture_source,
)
from shelfmark.reports.sections import NO_KEY, SOURCE_MARK

TAG = re.compile(r"<!--(?:[^<]|<(?!!--))*?-->|<[^<>]*>")
DATE = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?"
# Numbers within a name are left out: top-3, F1, p95.
NUMBER = (
    r"(?<![A-Za-z_]-)(?<![\w.])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?(?:\s?%)?"
)
TOKEN = re.compile(f"{DATE}|{NUMBER}")
SLACK = Decimal("1.000001")  # for the rounding error of a float times 100
ADVICE = "write the report again, shelfmark report"


def check_report(reports: Path) -> list[str]:
    """Return what is wrong with the report of a folder, one line each.

    Raises:
        ShelfmarkError: there is no report.
    """
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = reader.parse(read_page(reports))
    return [
        *_NumberChecker(reports).check(tokens),
        *_check_pictures(tokens, reports),
        *_check_age(reports),
    ]


class _NumberChecker:
    """Walks through a page, and knows the sources of the numbers at each place."""

    def __init__(self, reports: Path) -> None:
        self._figures = reports / FIGURES
        self._sources: list[Source] = []
        self._columns: list[str] = []  # the keys of the columns of the next table
        self._names: list[str] = []  # in the first cell of the row: what it is about
        self._cell: int | None = None  # number of the cell within its row
        self._line = 0

    def check(self, tokens: list[Token]) -> Iterator[str]:
        """Yield what is wrong with the numbers of a page."""
        heading = False
        for token in tokens:
            self._line = token.map[0] + 1 if token.map else self._line
            if token.type in ("heading_open", "heading_close"):
                heading = token.type == "heading_open"
                self._sources, self._columns = [], []
            elif token.type in ("tr_open", "table_close"):
                self._cell = 0 if token.type == "tr_open" else None
            elif token.type == "html_block":
                yield from self._read_mark(token.content)
                yield from self._check_text(TAG.sub(" ", token.content), self._sources)
            elif token.type == "inline" and not heading:
                yield from self._inline(token.children or [])

    def _inline(self, children: list[Token]) -> Iterator[str]:
        sources = self._sources
        if self._cell is not None:
            if self._cell == 0:
                self._names = [x.content for x in children if x.type == "code_inline"]
            sources = self._cell_sources()
            self._cell += 1
        yield from self._check_text(_prose(children), sources)

    def _cell_sources(self) -> list[Source]:
        """Return the figures of the row and, if it has a key, of the column."""
        key = dict(enumerate(self._columns)).get(self._cell or 0, NO_KEY)
        if key == NO_KEY:
            return narrow_sources(self._sources, self._names)
        orders = ([*self._names, key], [key, *self._names])
        return [x for order in orders for x in narrow_sources(self._sources, order)]

    def _check_text(self, text: str, sources: list[Source]) -> Iterator[str]:
        for number in find_unsourced_numbers(text, sources):
            yield f"{PAGE}:{self._line}: {number} is not among the figures that its mark names"

    def _read_mark(self, comment: str) -> Iterator[str]:
        """Take the sources and the column keys of a mark."""
        for sources, columns in SOURCE_MARK.findall(comment):
            self._sources, self._columns = [], columns.split()
            for path in sources.split():
                run, *keys = path.split("/")
                try:
                    tree = read_figures(self._figures / run / METRICS)
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


def _check_pictures(tokens: list[Token], reports: Path) -> Iterator[str]:
    """Yield what is wrong with the pictures of a page."""
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":
                path = reports / unquote(str(child.attrs["src"]))
                if problem := _picture_problem(path):
                    yield f"{path}: {problem}"


def _picture_problem(path: Path) -> str | None:
    try:
        created = read_figures(path.parent / METRICS).get("created")
        source = read_picture_source(path)
    except ShelfmarkError:
        return f"it or its {METRICS} is missing or damaged; {ADVICE}"
    if source.run != path.parent.name or source.created is None:
        return f"it shows {source.run}, not {path.parent.name}; {ADVICE}"
    if source.created != created:
        age = "older" if source.created < str(created) else "newer"
        return f"it is {age} than its figures, {source.created} and {created}; {ADVICE}"
    return None


def _check_age(reports: Path) -> Iterator[str]:
    """Yield the runs beside the report that were repeated after it."""
    for figures in sorted((reports / FIGURES).glob(f"*/{METRICS}")):
        run = Run(figures.parent.name, read_figures(figures))
        newest = find_origin(reports, run)
        if not newest.is_file():
            continue  # as in a clone
        newest_time = str(read_figures(newest).get("created"))
        if newest_time > str(run.created):
            yield f"{figures.parent}: {newest} is newer, {newest_time}; {ADVICE}"


@dataclass(frozen=True)
class Source:
    """Figures that the numbers of a text may come from.

    Args:
        tree: the figures.
        model: the model of their run.
        whole: whether figures deeper in the tree count too.
    """

    tree: Any
    model: str
    whole: bool

    def select(self, name: str) -> list[Source]:
        """Return the figures below a key of this name, or the entries that have it as a value."""
        if isinstance(self.tree, dict):
            if name in self.tree:
                return [Source(self.tree[name], self.model, True)]
            return [self] if name in self.tree.values() else []
        if isinstance(self.tree, list):
            items = (Source(item, self.model, True) for item in self.tree)
            return [source for item in items for source in item.select(name)]
        return []

    def leaves(self) -> Iterator[Any]:
        """Yield the numbers, the texts and the keys."""
        if self.whole or not isinstance(self.tree, dict):
            yield from _leaves(self.tree)
        else:
            yield from (x for x in self.tree.values() if not isinstance(x, (dict, list)))


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        yield from tree
        for below in tree.values():
            yield from _leaves(below)
    elif isinstance(tree, list):
        for below in tree:
            yield from _leaves(below)
    else:
        yield tree


def narrow_sources(sources: list[Source], names: Iterable[str]) -> list[Source]:
    """Return the figures of named models, keys or entries; an unknown name has none."""
    for name in names:
        of_model = [source for source in sources if source.model == name]
        sources = of_model or [below for source in sources for below in source.select(name)]
    return sources


def find_unsourced_numbers(text: str, sources: list[Source]) -> list[str]:
    """Return the numbers and dates of a text that are not among the figures of its sources."""
    leaves = [leaf for source in sources for leaf in source.leaves()]
    numbers = [
        Decimal(leaf)
        for leaf in leaves
        if isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
    ]
    texts = " ".join(leaf.replace("T", " ") for leaf in leaves if isinstance(leaf, str))
    return [
        token
        for token in TOKEN.findall(text)
        if not (_is_quoted(token, texts) or _is_rounded(token, numbers))
    ]


def _is_quoted(token: str, texts: str) -> bool:
    """Whether a date or a number occurs literally in the texts."""
    return re.search(rf"(?<![\w.,-]){re.escape(token)}(?![\w.,]?\w)", texts) is not None


def _is_rounded(token: str, numbers: list[Decimal]) -> bool:
    if re.fullmatch(DATE, token):
        return False
    shown = Decimal(token.rstrip("%").strip().replace(",", "").replace("−", "-"))
    exponent = shown.as_tuple().exponent
    assert isinstance(exponent, int)  # the pattern matches finite numbers only
    reach = SLACK * Decimal(1).scaleb(exponent) / 2
    scale = 100 if token.endswith("%") else 1
    return any(abs(number * scale - shown) <= reach for number in numbers)
