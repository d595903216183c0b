"""Which label a paper gets, which labels there are, and how many papers each may have."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from shelfmark.arxiv.taxonomy import label_among, label_at
from shelfmark.config.schema import DataConfig
from shelfmark.core.arrays import Ints
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:  # whoever counts papers brings it; serving does without
    import pandas as pd

LEFT_OUT = -1


def label_of(data: DataConfig, category: str) -> str | None:
    """Return the label of the papers with this primary category, None where they have none."""
    if isinstance(data.labels, dict):
        return label_among(category, data.labels)
    return label_at(category, data.level)


def choose_labels(data: DataConfig, counts: Counter[str]) -> list[str]:
    """Choose the labels: those listed or all, with papers enough, the most frequent of them.

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
    if len(chosen) < 2:
        raise ShelfmarkError(
            f"data: {len(chosen)} labels have data.min_papers={data.min_papers} papers, "
            "two are needed; lower it or read more papers"
        )
    return sorted(chosen)


def surplus(data: DataConfig, keys: pd.DataFrame, codes: Ints) -> Ints:
    """Return the rows of `keys` that are more than `data.max_papers` of a label.

    Those with the lowest hashes of their identifiers stay: a choice by chance, and the same in
    whatever order the papers come.

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
    room = np.array(_room(data, data.max_papers))[by_hash["split"]]
    rows: Ints = by_hash.index.to_numpy()[place >= room]
    return rows


def _room(data: DataConfig, papers: int) -> list[int]:
    """Return how many of a label's papers each split may hold, together `papers` if by hash."""
    if data.split == "time":
        return [papers] * 3
    parts = data.fractions
    shares = (0, parts.train, parts.train + parts.validation, 1)
    return [end - start for start, end in itertools.pairwise(round(papers * x) for x in shares)]
