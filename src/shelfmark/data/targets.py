"""What a model learns of a paper: its label, and every category it is listed under."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shelfmark.config.schema import DataConfig
from shelfmark.core.arrays import Indicator, Ints
from shelfmark.data.labels import label_of

if TYPE_CHECKING:  # what learns brings it; serving does without
    import pyarrow as pa


@dataclass(frozen=True)
class Targets:
    """The labels of a model, and the categories whose cross-lists it has seen often enough.

    A name may be a class and listed, one of both, or neither. `data` says which label the papers of
    a category have.
    """

    classes: tuple[str, ...]
    listed: tuple[str, ...]
    data: DataConfig

    def numbers(self, papers: pa.Table) -> Ints:
        """Return the class of each paper, -1 for a label that is none."""
        return _numbered(papers["label"], self.classes)

    def membership(self, papers: pa.Table) -> Indicator:
        """Return which of `listed` each paper names, primary or not, shape (papers, listed)."""
        rows, names = _named(papers, self.data)
        column = _numbered(names, self.listed)
        found = np.zeros((papers.num_rows, len(self.listed)), np.uint8)
        found[rows[column >= 0], column[column >= 0]] = 1
        return found

    def shelves(self, papers: pa.Table) -> list[set[str]]:
        """Return every category of each paper, by their labels."""
        rows, names = _named(papers, self.data)
        found: list[set[str]] = [set() for _ in range(papers.num_rows)]
        for row, name in zip(rows, names.to_pylist(), strict=True):
            if name:
                found[row].add(name)
        return found

    def indicator(self, papers: pa.Table) -> Indicator:
        """Return one column a class, of which one is 1, then the membership."""
        classes = self.numbers(papers)[:, None] == np.arange(len(self.classes))
        return np.hstack([classes.astype(np.uint8), self.membership(papers)])


def learn_targets(papers: pa.Table, data: DataConfig, min_listed: int | None) -> Targets:
    """Return the classes of training papers, and what at least so many are cross-listed under."""
    classes = tuple(sorted(papers["label"].unique().to_pylist()))
    if min_listed is None:
        return Targets(classes, (), data)
    rows, names = _named(papers, data)
    first = np.diff(rows, prepend=-1) > 0
    primary = np.asarray(names)[first].astype(object)
    own = np.repeat(primary, np.diff([*np.flatnonzero(first), len(rows)]))
    # A paper may reach one archive by several of its categories.
    crossed = {(row, name) for row, name, mine in zip(rows, names.to_pylist(), own, strict=True)
               if name != mine}  # fmt: skip
    counts = Counter(name for _, name in crossed)
    listed = sorted(name for name, papers in counts.items() if name and papers >= min_listed)
    return Targets(classes, tuple(listed), data)


def _named(papers: pa.Table, data: DataConfig) -> tuple[Ints, pa.Array]:
    """Return the label of every category of every paper, with the paper's row.

    A category that labels of one's own leave out keeps its name.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    categories = papers["categories"].combine_chunks()
    rows = np.asarray(pc.list_parent_indices(categories), np.int64)
    encoded = pc.dictionary_encode(pc.list_flatten(categories))
    other = isinstance(data.labels, dict)
    labels = [label_of(data, x) or (x if other else None) for x in encoded.dictionary.to_pylist()]
    names = pa.array(labels, pa.string())
    return rows, names.take(encoded.indices)


def _numbered(names: pa.Array | pa.ChunkedArray, known: tuple[str, ...]) -> Ints:
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(names, pa.array(known, pa.string()))
    return np.asarray(pc.fill_null(places, -1), np.int64)
