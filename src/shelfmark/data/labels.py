"""The labels of papers: how they are chosen, and what a model learns from them."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shelfmark.arxiv.taxonomy import label_among, label_at
from shelfmark.config.schema import DataConfig
from shelfmark.core.arrays import Array, Indicator, Ints
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:  # the service runs without the first
    import pyarrow as pa
    import scipy.sparse as sp

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


def surplus_rows(data: DataConfig, ids: Ints, splits: Array, codes: Array) -> Ints:
    """Return the rows of the papers beyond `data.max_papers` of a label.

    The papers with the lowest hashes of their identifiers stay: a random choice that does not
    depend on the order of the papers.

    Args:
        data: the configuration.
        ids: for every paper a hash of its identifier, shape (papers,).
        splits: its split's number, shape (papers,).
        codes: its label's number or `LEFT_OUT`, shape (papers,).
    """
    if data.max_papers is None:
        return np.empty(0, np.int64)
    rows = np.flatnonzero(codes != LEFT_OUT)
    shared = codes[rows] if data.split == "time" else 3 * codes[rows] + splits[rows]
    order = np.lexsort((ids[rows], shared))
    rows, shared = rows[order], shared[order]
    place = np.arange(len(rows)) - np.searchsorted(shared, shared)
    room = np.array(_split_capacities(data, data.max_papers))[splits[rows]]
    return rows[place >= room]


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
        membership: Indicator = self.membership_rows(papers).toarray()
        return membership

    def membership_rows(self, papers: pa.Table) -> sp.csr_matrix:
        """Return `membership` as a sparse matrix of shape (papers, listed), for many papers."""
        import scipy.sparse as sp

        rows, names = _labels_of_papers(papers, self.data)
        column = _encode_names(names, self.listed)
        shape = papers.num_rows, max(len(self.listed), 1)
        # A paper may reach one label by several of its categories.
        cells = np.unique(rows[column >= 0] * shape[1] + column[column >= 0])
        ends = np.searchsorted(cells // shape[1], np.arange(shape[0] + 1))
        ones, columns = np.ones(len(cells), np.uint8), (cells % shape[1]).astype(np.int32)
        matrix = sp.csr_matrix((ones, columns, ends.astype(np.int32)), shape)
        return matrix[:, : len(self.listed)]

    def label_sets(self, papers: pa.Table) -> list[set[str]]:
        """Return the labels of all categories of each paper."""
        rows, names = _labels_of_papers(papers, self.data)
        sets: list[set[str]] = [set() for _ in range(papers.num_rows)]
        for row, name in zip(rows, names.to_pylist(), strict=True):
            if name:
                sets[row].add(name)
        return sets


def learn_targets(
    papers: pa.Table, data: DataConfig, min_listed: int | None, max_listed: int | None = None
) -> Targets:
    """Return the classes of training papers, and the labels that are cross-listed often.

    Args:
        papers: with label and categories.
        data: the configuration, which maps categories to labels.
        min_listed: the smallest number of cross-lists of a listed label; None for no listed labels.
        max_listed: the number of listed labels, those with the most cross-lists; None for all.
    """
    classes = tuple(sorted(papers["label"].unique().to_pylist()))
    if min_listed is None:
        return Targets(classes, (), data)
    rows, names = _labels_of_papers(papers, data)
    encoded = names.dictionary_encode()
    known = encoded.dictionary.to_pylist() or [""]
    code = np.asarray(encoded.indices.fill_null(-1), np.int64)
    first = np.flatnonzero(np.diff(rows, prepend=-1) > 0)
    own = np.repeat(code[first], np.diff([*first, len(rows)]))
    # A paper may reach one archive by several of its categories.
    crossed = np.unique((rows * len(known) + code)[(code != own) & (code >= 0)]) % max(
        len(known), 1
    )
    counts = np.bincount(crossed, minlength=len(known))
    often = [place for place in np.argsort(-counts, kind="stable") if counts[place] >= min_listed]
    return Targets(classes, tuple(sorted(known[place] for place in often[:max_listed])), data)


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
