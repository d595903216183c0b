"""The papers that a network learns from: their texts, their classes, and their cross-lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Ints
from shelfmark.data.labels import Targets
from shelfmark.data.splits import PaperGroups, read_rows


@dataclass(frozen=True)
class LabelledPapers:
    """Papers with their labels.

    Args:
        texts: of the papers.
        targets: the class of each, shape (papers,).
        membership: 1 where a paper has a listed category, shape (papers, listed).
    """

    texts: list[str]
    targets: Ints
    membership: sp.csr_matrix

    def __len__(self) -> int:
        return len(self.texts)

    def some(self, most: int) -> LabelledPapers:
        """Return at most so many of the papers, evenly spaced."""
        return self.take(np.arange(0, len(self), max(1, -(-len(self) // most))))

    def take(self, rows: Ints) -> LabelledPapers:
        """Return the papers in some rows, in their order."""
        texts = [self.texts[row] for row in rows]
        return LabelledPapers(texts, self.targets[rows], self.membership[rows])


def draw_papers(
    groups: PaperGroups, targets: Targets, most: int | None, seed: int
) -> LabelledPapers:
    """Return papers of a split that have one of the classes, drawn at random if there are more.

    Args:
        groups: the split, with text, label and categories.
        targets: the classes and the listed categories.
        most: the number of papers, None for all.
        seed: of the draw.
    """
    own = targets.encode(groups.read(["label"]))
    rows = np.flatnonzero(own >= 0)
    if most is not None and len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    table = read_rows(groups, rows, ["text", "label", "categories"])
    return LabelledPapers(table["text"].to_pylist(), own[rows], targets.membership_rows(table))
