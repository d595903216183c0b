"""The papers of validation, which stop the trees and calibrate: read group by group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from shelfmark.core.arrays import Indicator, Ints
from shelfmark.data.labels import Targets
from shelfmark.data.splits import PaperGroups
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import features
from shelfmark.models.boosted.fitting.rows import Mask


@dataclass(frozen=True)
class ValidationPapers:
    """The papers of validation whose label is a class.

    Args:
        papers: all papers of validation.
        kept: which papers of each group have such a label.
        targets: the class of each kept paper, shape (kept papers,).
        membership: 1 where a kept paper has a listed category, shape (kept papers, listed).
    """

    papers: PaperGroups
    kept: list[Mask]
    targets: Ints
    membership: Indicator

    @classmethod
    def of(cls, papers: PaperGroups, targets: Targets) -> ValidationPapers:
        """Return the papers of validation for some classes.

        Raises:
            ShelfmarkError: no paper has a label that is a class.
        """
        table = papers.read(["label", "categories"])
        numbers = targets.encode(table)
        known = numbers >= 0
        if not known.any():
            raise ShelfmarkError(
                "data: validation has no paper of a label in train: change data.cuts"
            )
        membership = targets.membership(table.filter(pa.array(known)))
        kept = np.split(known, np.cumsum(papers.groups)[:-1])
        return cls(papers, kept, numbers[known], membership)

    def transform(self, steps: features.Steps) -> sp.csr_matrix:
        """Return the features of the kept papers by fitted steps, shape (kept papers, columns)."""
        blocks = [features.transform(steps, texts) for texts in self._texts_of_groups()]
        return sp.csr_matrix(sp.vstack(blocks, format="csr"))

    def texts(self) -> list[str]:
        """Return the texts of the kept papers."""
        return [text for texts in self._texts_of_groups() for text in texts]

    def _texts_of_groups(self) -> Iterator[list[str]]:
        for number, kept in enumerate(self.kept):
            texts = self.papers.read_group(number, ["text"])["text"]
            yield texts.filter(pa.array(kept)).to_pylist()
