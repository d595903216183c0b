"""Papers as the Python interface takes them: texts, tuples, lists of these, or a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from shelfmark.arxiv.text import is_blank
from shelfmark.errors import ShelfmarkError

Paper = str | tuple[str, str]  # a text, or title and abstract
BATCH = 1024  # papers, as `predict --file` takes them
COLUMNS = ("title", "abstract")


def pairs_of(papers: object, *, blank: bool = False) -> list[tuple[str, str]]:
    """Return papers as (title, abstract).

    Args:
        papers: a paper, an iterable of papers, or a DataFrame with the columns title and abstract.
        blank: whether a paper may have no text.

    Raises:
        ShelfmarkError: one is no paper, or has no text, or there is no paper.
    """
    if isinstance(papers, str | tuple):
        return [_pair(papers, "the paper", blank)]
    if hasattr(papers, "columns") and hasattr(papers, "itertuples"):
        pairs = list(_rows(papers, blank))
    elif (
        isinstance(papers, Iterable)
        and getattr(papers, "ndim", 1) != 0  # an array without axes is Iterable by name alone
        and not isinstance(papers, bytes | dict)
    ):
        pairs = [_pair(paper, f"paper {number}", blank) for number, paper in enumerate(papers)]
    else:
        raise ShelfmarkError(
            f"{type(papers).__name__}: give a text, a tuple (title, abstract), a list of these, "
            "or a DataFrame with the columns title and abstract"
        )
    if not pairs:
        raise ShelfmarkError("no papers: give at least one")
    return pairs


def split_batches(pairs: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Yield papers in batches, so that memory stays flat."""
    for start in range(0, len(pairs), BATCH):
        yield pairs[start : start + BATCH]


def _pair(paper: object, place: str, blank: bool) -> tuple[str, str]:
    pair = ("", paper) if isinstance(paper, str) else paper
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(x, str) for x in pair)):
        raise ShelfmarkError(f"{place} is {paper!r:.60}: give a text, or a tuple (title, abstract)")
    if not blank and all(map(is_blank, pair)):
        raise ShelfmarkError(f"{place} has no text")
    return pair


def _rows(frame: Any, blank: bool) -> Iterator[tuple[str, str]]:
    """Yield the papers of a DataFrame; where one of the two cells is missing the other counts."""
    import pandas as pd

    for column in COLUMNS:
        if list(frame.columns).count(column) != 1:
            raise ShelfmarkError(f"the DataFrame should have one column {column}")
    titles, abstracts = (frame[column] for column in COLUMNS)
    for place, title, abstract in zip(frame.index, titles, abstracts, strict=True):
        cells = ["" if not isinstance(x, str) and pd.isna(x) else x for x in (title, abstract)]
        yield _pair(tuple(cells), f"row {place}", blank)
