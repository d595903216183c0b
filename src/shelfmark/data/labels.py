"""The labels of papers: how they are chosen, and what a model learns from them."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shelfmark.arxiv.taxonomy import label_among, label_at
from shelfmark.config.schema import DataConfig
from shelfmark.core.arrays import Indicator, Ints
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:  # the service runs without them
    import pandas as pd
    import pyarrow as pa

LEFT_OUT = -1


def label_of(data: DataConfig, category: str) -> str | None:
    """Return the label of the papers with this primary category, None if they have no label."""
    if isinstance(data.labels, dict):
        return label_among(category, data.labels)
    return label_at(category, data.level)


def choose_labels(data: DataConfig, counts: Counter[str]) -> list[str]:
    """Choose the labels: the listed ones or all, with enough papers, the most frequent of them.

    Raises:
        ShelfmarkError: a listed label has too few papers, or fewer than two labels are left.
    """
    for label in data.labels or ():
        if counts[label] < data.min_papers:
            raise ShelfmarkError(
                f"data.labels: {label} has {counts[label]} papers, fewer than "
                f"data.min_papers={data.min_papers}"
            )
    enough = {name for name in data.labels or counts if counts[name] >= data.min_papers}
    chosen = sorted(enough, key=lambda label: (-counts[label], label))[: data.top]
    if len(chosen) < 2 and data.unlabelled == "drop":
        raise ShelfmarkError(
            f"data: {len(chosen)} labels have data.min_papers={data.min_papers} papers, "
            "two are needed; lower it or read more papers"
        )
    return sorted(chosen)


def surplus_rows(data: DataConfig, keys: pd.DataFrame, codes: Ints) -> Ints:
    """Return the rows of `keys` beyond `data.max_papers` of a label.

    The papers with the lowest hashes of their identifiers stay: a random choice that does not
    depend on the order of the papers.

    Args:
        data: the configuration.
        keys: for every row, `id` is a hash of its identifier and `split` its split's number.
        codes: for every row, its label's number or `LEFT_OUT`.
    """
    if data.max_papers is None:
        return np.empty(0, np.int64)
    shared = ["label"] if data.split == "time" else ["label", "split"]
    by_hash = keys[["id", "split"]].assign(label=codes)[codes != LEFT_OUT].sort_values("id")
    place = by_hash.groupby(shared).cumcount()
    room = np.array(_split_capacities(data, data.max_papers))[by_hash["split"]]
    rows: Ints = by_hash.index.to_numpy()[place >= room]
    return rows


def _split_capacities(data: DataConfig, papers: int) -> list[int]:
    """Return how many papers of a label each split may hold; by hash they add up to `papers`."""
    if data.split == "time":
        return [papers] * 3
    parts = data.fractions
    shares = (0, parts.train, parts.train + parts.validation, 1)
    return [end - start for start, end in itertools.pairwise(round(papers * x) for x in shares)]


@dataclass(frozen=True)
class Targets:
    """The classes of a model, and the labels that are cross-listed often enough to be learnt.

    Args:
        classes: the labels, sorted.
        listed: the cross-listed labels, sorted; they may or may not be classes.
        data: the configuration, which maps categories to labels.
    """

    classes: tuple[str, ...]
    listed: tuple[str, ...]
    data: DataConfig

    def encode(self, papers: pa.Table) -> Ints:
        """Return the class of each paper as a number, shape (papers,); -1 for another label."""
        return _encode_names(papers["label"], self.classes)

    def membership(self, papers: pa.Table) -> Indicator:
        """Return 1 where a paper has a listed label, primary or not, shape (papers, listed)."""
        rows, names = _labels_of_papers(papers, self.data)
        column = _encode_names(names, self.listed)
        membership = np.zeros((papers.num_rows, len(self.listed)), np.uint8)
        membership[rows[column >= 0], column[column >= 0]] = 1
        return membership

    def label_sets(self, papers: pa.Table) -> list[set[str]]:
        """Return the labels of all categories of each paper."""
        rows, names = _labels_of_papers(papers, self.data)
        sets: list[set[str]] = [set() for _ in range(papers.num_rows)]
        for row, name in zip(rows, names.to_pylist(), strict=True):
            if name:
                sets[row].add(name)
        return sets

    def indicator(self, papers: pa.Table) -> Indicator:
        """Return the one-hot classes, then the membership, shape (papers, classes + listed)."""
        classes = self.encode(papers)[:, None] == np.arange(len(self.classes))
        return np.hstack([classes.astype(np.uint8), self.membership(papers)])


def learn_targets(papers: pa.Table, data: DataConfig, min_listed: int | None) -> Targets:
    """Return the classes of training papers, and the labels with `min_listed` cross-lists."""
    classes = tuple(sorted(papers["label"].unique().to_pylist()))
    if min_listed is None:
        return Targets(classes, (), data)
    rows, names = _labels_of_papers(papers, data)
    first = np.diff(rows, prepend=-1) > 0
    primary = np.asarray(names)[first].astype(object)
    own = np.repeat(primary, np.diff([*np.flatnonzero(first), len(rows)]))
    # A paper may reach one archive by several of its categories.
    crossed = {(row, name) for row, name, mine in zip(rows, names.to_pylist(), own, strict=True)
               if name != mine}  # fmt: skip
    counts = Counter(name for _, name in crossed)
    listed = sorted(name for name, papers in counts.items() if name and papers >= min_listed)
    return Targets(classes, tuple(listed), data)


def _labels_of_papers(papers: pa.Table, data: DataConfig) -> tuple[Ints, pa.Array]:
    """Return the row and the label of every category of every paper.

    A category that custom labels do not include keeps its name.
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


def _encode_names(names: pa.Array | pa.ChunkedArray, known: tuple[str, ...]) -> Ints:
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(names, pa.array(known, pa.string()))
    return np.asarray(pc.fill_null(places, -1), np.int64)
