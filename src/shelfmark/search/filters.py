"""The filters of a search, and the papers of a segment that pass them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from shelfmark.arxiv import taxonomy
from shelfmark.core.arrays import Array, Ints, SmallInts

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Filters:
    """Which papers a search chooses from; those that pass all filters.

    Args:
        categories: names of categories, archives and groups, of which a paper has at least one.
        exclude: names of which a paper has none.
        since: the first day of submission.
        until: the last day of submission.
        primary: whether `categories` holds for a paper's primary category alone.
    """

    categories: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    primary: bool = False

    def __bool__(self) -> bool:
        return self != Filters()

    def parts(self) -> list[tuple[str, Filters]]:
        """Return each filter by itself, with its name in a request and its value as a text."""
        parts = []
        if self.categories:
            name = "category" + " (primary)" * self.primary
            only = Filters(categories=self.categories, primary=self.primary)
            parts.append((f"{name} {', '.join(self.categories)}", only))
        if self.exclude:
            parts.append((f"exclude {', '.join(self.exclude)}", Filters(exclude=self.exclude)))
        if self.since:
            parts.append((f"since {self.since}", Filters(since=self.since)))
        if self.until:
            parts.append((f"until {self.until}", Filters(until=self.until)))
        return parts


@dataclass(frozen=True, eq=False)
class Columns:
    """What the papers of a segment are filtered by.

    Args:
        names: the categories that occur in the segment, in the order of their numbers.
        primary: the number of each paper's primary category, uint16 of shape (papers,).
        categories: bit p of row c, the most significant of a byte first, says whether paper p has
            category c; uint8 of shape (categories, (papers + 7) // 8).
        days: of submission, as `date.toordinal` counts them, int32 of shape (papers,).
    """

    names: Sequence[str]
    primary: Array
    categories: Array
    days: SmallInts

    @property
    def papers(self) -> int:
        """The number of papers."""
        return len(self.days)

    def numbers(self, names: Sequence[str]) -> list[int]:
        """Return the numbers of the categories that are, or lie in, one of these names."""
        wanted = set(names)
        return [number for number, name in enumerate(self.names) if wanted & set(_names_of(name))]

    def mask(self, filters: Filters) -> Mask:
        """Return which papers pass, shape (papers,)."""
        passed = np.ones(self.papers, bool)
        if filters.categories:
            numbers = self.numbers(filters.categories)
            if filters.primary:
                passed &= np.isin(self.primary, numbers)
            else:
                passed &= self._has_any(numbers)
        if filters.exclude:
            passed &= ~self._has_any(self.numbers(filters.exclude))
        if filters.since:
            passed &= self.days >= filters.since.toordinal()
        if filters.until:
            passed &= self.days <= filters.until.toordinal()
        return passed

    def _has_any(self, numbers: Sequence[int]) -> Mask:
        packed = np.bitwise_or.reduce(self.categories[list(numbers)], axis=0)
        return np.unpackbits(packed, count=self.papers).view(bool)


def _names_of(category: str) -> Iterator[str]:
    """Yield the names that a filter may give a category: its own, its archive's, its group's."""
    yield category
    yield taxonomy.archive_of(category)
    if group := taxonomy.group_of(category):
        yield group


class Selection:
    """The papers of a segment that a search chooses from.

    Args:
        columns: of the segment.
        filters: that the papers pass.
        deleted: rows that are deleted, shape (papers,); None if none is.
        excluded: rows that are no result, such as the papers of the query.
    """

    def __init__(
        self,
        columns: Columns,
        filters: Filters = Filters(),
        deleted: Mask | None = None,
        excluded: Sequence[int] = (),
    ) -> None:
        self.columns = columns
        self.filters = filters
        self.excluded = excluded
        self.deleted = deleted
        self.mask = self._combine()
        self.count = columns.papers if self.mask is None else int(np.count_nonzero(self.mask))

    def rows(self) -> Ints:
        """Return the rows that are selected, ascending."""
        if self.mask is None:
            return np.arange(self.columns.papers)
        return np.flatnonzero(self.mask)

    def every(self) -> Mask:
        """Return whether each paper is selected, shape (papers,)."""
        return np.ones(self.columns.papers, bool) if self.mask is None else self.mask

    def _combine(self) -> Mask | None:
        """Return which papers are selected, None if all are."""
        if not self.filters and self.deleted is None and not len(self.excluded):
            return None
        mask = self.columns.mask(self.filters)
        if self.deleted is not None:
            mask &= ~self.deleted
        mask[list(self.excluded)] = False
        return mask
