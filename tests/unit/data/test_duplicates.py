"""The newest record of each paper, decided by arrays as by hand."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.data.duplicates import (
    best_of_each,
    hash_contents,
    newest_of_each,
    revision_number,
)

SMALL = st.integers(0, 3)


@given(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=40))
def test_the_best_row_of_each_group_is_the_first_by_rank(rows: list[tuple[int, int, int]]) -> None:
    groups, *ranks = np.array(rows, np.int64).reshape(-1, 3).T
    best: dict[int, int] = {}
    for place, (group, *rank) in enumerate(rows):
        if group not in best or rank < list(rows[best[group]][1:]):
            best[group] = place
    mask = best_of_each(groups, *ranks)
    assert np.flatnonzero(mask).tolist() == sorted(best.values())


@given(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=40))
def test_the_newest_record_has_the_highest_revision_then_the_latest_file(
    records: list[tuple[int, int, int]],
) -> None:
    papers, revisions, files = np.array(records, np.int64).reshape(-1, 3).T
    wanted = {}
    for place, (paper, revision, file) in enumerate(records):
        newer = paper in wanted and records[wanted[paper]][1:] >= (revision, file)
        if not newer:
            wanted[paper] = place
    mask = newest_of_each(papers, revisions, files)
    assert np.flatnonzero(mask).tolist() == sorted(wanted.values())


def test_revisions_rise_with_the_version_and_then_with_the_day() -> None:
    rising = [
        (0, None), (0, date.min), (0, date(2024, 1, 1)), (0, date.max), (1, None),
        (1, date(2024, 1, 1)), (1, date(2024, 1, 2)), (2, None), (999_999_999, date.max),
    ]  # fmt: skip
    numbers = [revision_number(*one) for one in rising]
    assert all(one < other for one, other in pairwise(numbers))
    assert numbers[-1] < 2**63


def test_hashes_are_equal_for_equal_contents() -> None:
    one, other, again = hash_contents([b"one", b"other", b"one"]).tolist()
    assert one == again != other
    assert len(hash_contents([])) == 0
