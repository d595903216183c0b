"""Filters select the papers that they say, by category, archive, group and day."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.arxiv import taxonomy
from shelfmark.search.filters import Columns, Filters, Selection

NAMES = ["cs.CL", "cs.RO", "hep-th", "math.AG"]
DAYS = st.dates(date(1991, 1, 1), date(2030, 1, 1))
PAPERS = st.lists(
    st.tuples(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), DAYS), max_size=30
)
FILTERS = st.builds(
    Filters,
    categories=st.lists(st.sampled_from([*NAMES, "cs", "math", "physics"]), max_size=2).map(tuple),
    exclude=st.lists(st.sampled_from([*NAMES, "cs", "physics"]), max_size=2).map(tuple),
    since=st.none() | DAYS,
    until=st.none() | DAYS,
    primary=st.booleans(),
)


def columns_of(papers: list[tuple[list[str], date]]) -> Columns:
    primary = np.array([NAMES.index(names[0]) for names, _ in papers], np.uint16)
    has = np.array([[name in names for names, _ in papers] for name in NAMES], bool)
    days = np.array([day.toordinal() for _, day in papers], np.int32)
    return Columns(NAMES, primary, np.packbits(has.reshape(4, -1), axis=1), days)


def passes(filters: Filters, names: list[str], day: date) -> bool:
    def lies_in(category: str, wanted: tuple[str, ...]) -> bool:
        own = {category, taxonomy.archive_of(category), taxonomy.group_of(category)}
        return bool(own & set(wanted))

    counted = names[:1] if filters.primary else names
    return (
        (not filters.categories or any(lies_in(name, filters.categories) for name in counted))
        and not any(lies_in(name, filters.exclude) for name in names)
        and (filters.since is None or day >= filters.since)
        and (filters.until is None or day <= filters.until)
    )


@given(papers=PAPERS, filters=FILTERS)
def test_a_filter_selects_exactly_the_papers_that_pass(
    papers: list[tuple[list[str], date]], filters: Filters
) -> None:
    selection = Selection(columns_of(papers), filters)
    expected = [row for row, paper in enumerate(papers) if passes(filters, *paper)]
    assert selection.rows().tolist() == expected
    assert selection.count == len(expected)
    assert np.flatnonzero(selection.every()).tolist() == expected


def test_deleted_and_excluded_papers_are_not_selected() -> None:
    columns = columns_of([(["cs.CL"], date(2020, 1, 1))] * 5)
    deleted = np.array([True, False, False, False, False])
    assert Selection(columns, deleted=deleted, excluded=[2]).rows().tolist() == [1, 3, 4]


def test_each_part_of_a_filter_is_named() -> None:
    filters = Filters(("cs",), ("cs.CL",), date(2018, 1, 1), date(2019, 1, 1), primary=True)
    names = [name for name, _ in filters.parts()]
    assert names == ["category (primary) cs", "exclude cs.CL", "since 2018-01-01",
                     "until 2019-01-01"]  # fmt: skip
