"""The index of the Python interface: open one, and find papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from datetime import date

    from shelfmark.search.filters import Filters
    from shelfmark.search.index import Index as OpenIndex
    from shelfmark.search.query.search_query import SearchResult

Names = str | Sequence[str]  # one name, or several


class Index:
    """An index of papers; `Index.open` opens one.

    Args:
        index: that is open.
    """

    def __init__(self, index: OpenIndex) -> None:
        self._index = index

    def __repr__(self) -> str:
        return f"<Index: {self.papers:,} papers>"

    @classmethod
    def open(cls, index: str | Path = "index", encoders: str | Path = "encoders") -> Self:
        """Open an index.

        Args:
            index: its folder.
            encoders: folder or address of the encoders, where the one that made it is.

        Raises:
            ShelfmarkError: there is no index, a file is damaged, or its encoder is missing or
                another one now.
        """
        from shelfmark.search.index import Index as OpenIndex

        for value in (index, encoders):
            if not isinstance(value, str | Path):
                raise ShelfmarkError(f"open: {value!r}: should be a path")
        return cls(OpenIndex.open(Path(index), encoders=str(encoders)))

    @property
    def papers(self) -> int:
        """The number of papers, without the deleted ones."""
        return self._index.papers

    @property
    def encoder(self) -> str:
        """The name of the encoder that made its vectors."""
        return self._index.encoder.name

    def search(
        self,
        text: str = "",
        *,
        title: str = "",
        abstract: str = "",
        like: Names = (),
        unlike: Names = (),
        k: int = 10,
        category: Names = (),
        exclude: Names = (),
        primary: bool = False,
        since: str = "",
        until: str = "",
        words: float | None = None,
    ) -> SearchResult:
        """Return the papers that are nearest to a text, or to papers of the index.

        Args:
            text: a few words, a title or an abstract; an identifier, an address or the exact title
                of a paper finds that paper first.
            title: of a paper whose neighbours are wanted.
            abstract: of that paper.
            like: identifiers of papers whose neighbours are wanted.
            unlike: identifiers of papers to stay away from.
            k: number of papers, 1 to 1000.
            category: names of categories, archives and groups, of which a paper has at least one.
            exclude: names of which a paper has none.
            primary: whether `category` holds for the primary category alone.
            since: the first day of submission: 2018-05-31, 2018-05 or 2018.
            until: the last day of submission.
            words: weight of the words, 0 to 1; that of the meaning is the rest; 0.7 if not given.

        Returns:
            `hits`, the papers with their scores and the words that made them similar; `note`, why
            there are fewer than k.

        Raises:
            ShelfmarkError: there is nothing to search for, a value is invalid, or a file is
                damaged.
        """
        from shelfmark.search.query.search_query import WORDS, SearchQuery

        weight = WORDS if words is None else words
        _check_values({"text": text, "title": title, "abstract": abstract}, k, weight)
        filters = _filters(category, exclude, since, until, primary)
        near, away = _names("like", like), _names("unlike", unlike)
        query = SearchQuery(text, title, abstract, near, away, k, filters, weight, explain=True)
        [result] = self._index.search([query])
        return result

    def close(self) -> None:
        """Close its files."""
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_values(texts: Mapping[str, str], k: int, weight: float) -> None:
    """Check the values of a search that are neither names nor days.

    Raises:
        ShelfmarkError: one is of another type, or out of its range.
    """
    from shelfmark.search.query.search_query import MOST_RESULTS

    for field, text in texts.items():
        if not isinstance(text, str):
            raise ShelfmarkError(f"search: {field}={text!r:.60}: should be a text")
    if type(k) is not int or not 1 <= k <= MOST_RESULTS:
        raise ShelfmarkError(f"search: k={k!r:.60}: should be from 1 to {MOST_RESULTS}")
    if not isinstance(weight, int | float) or not 0 <= weight <= 1:
        raise ShelfmarkError(f"search: words={weight!r:.60}: should be from 0 to 1")


def _filters(category: Names, exclude: Names, since: str, until: str, primary: bool) -> Filters:
    """Return the filters of a search.

    Raises:
        ShelfmarkError: a name or a day is invalid.
    """
    from shelfmark.search.filters import Filters

    first, last = _day("since", since), _day("until", until)
    included, excluded = _names("category", category), _names("exclude", exclude)
    return Filters(included, excluded, first, last, bool(primary))


def _names(field: str, names: Names) -> tuple[str, ...]:
    """Return one name, names with commas between them, or those of a sequence.

    Raises:
        ShelfmarkError: it is none of these.
    """
    some = [names] if isinstance(names, str) else names
    if not isinstance(some, Sequence) or not all(isinstance(name, str) for name in some):
        raise ShelfmarkError(f"search: {field}={names!r:.60}: should be a name, or a list of names")
    return tuple(name.strip() for one in some for name in one.split(",") if name.strip())


def _day(field: str, text: str) -> date | None:
    """Return the day of `since` or `until`, None if it is empty.

    Raises:
        ShelfmarkError: it is no day.
    """
    from shelfmark.search.query.values import parse_since, parse_until

    try:
        parse = parse_since if field == "since" else parse_until
        return parse(text) if text else None
    except (TypeError, ValueError, AttributeError) as error:
        reason = error if isinstance(text, str) else "should be a text, such as 2018-05"
        raise ShelfmarkError(f"search: {field}={text!r:.60}: {reason}") from None
