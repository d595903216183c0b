"""Which of the records of one paper counts, and which of the papers with one text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np

from shelfmark.core.arrays import Ints

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def hash_contents(contents: Iterable[bytes]) -> Ints:
    """Return a 64-bit hash of each content, the same in every process."""
    digests = [hashlib.blake2b(content, digest_size=8).digest() for content in contents]
    return np.frombuffer(b"".join(digests), np.int64)


def revision_number(version: int, updated: date | None) -> int:
    """Return a number that rises with the version, then with the day of the last change.

    Args:
        version: the number of the version, 0 if unknown.
        updated: the day of the last change of the record, None if unknown.
    """
    return version << 24 | (updated.toordinal() if updated else 0)  # a day needs 22 bits


def best_of_each(groups: Ints, *ranks: Ints) -> Mask:
    """Return which rows are the best of their group, one of each.

    The best row has the lowest first rank; of equals the lowest second rank, and so on; of equals
    in all ranks the first row. Only the rows of groups of several are sorted by rank.

    Args:
        groups: the group of each row, shape (rows,).
        ranks: of each row, shape (rows,) each.
    """
    by_group = np.argsort(groups, kind="stable")
    first = _starts(groups[by_group])
    best = np.ones(len(groups), bool)
    several = by_group[~(first & np.append(first[1:], True))]
    best[several] = False
    by_rank = np.lexsort([several, *(rank[several] for rank in reversed(ranks)), groups[several]])
    several = several[by_rank]
    best[several[_starts(groups[several])]] = True
    return best


def newest_of_each(papers: Ints, revisions: Ints, files: Ints, *ranks: Ints) -> Mask:
    """Return which records are the newest of their paper, one of each.

    The newest record has the highest revision; of equals it is that of the later file; of equals in
    one file the best by further ranks, as `best_of_each` takes them.

    Args:
        papers: the hash of the identifier of each record, shape (records,).
        revisions: of each record, as `revision_number` returns them, shape (records,).
        files: the place of the file of each record among all files, shape (records,).
        ranks: of each record, shape (records,) each.
    """
    return best_of_each(papers, -revisions, -files, *ranks)


def _starts(groups: Ints) -> Mask:
    """Return whether each row begins a group, for rows in the order of their groups."""
    starts = np.ones(len(groups), bool)
    starts[1:] = groups[1:] != groups[:-1]
    return starts
