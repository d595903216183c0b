"""The data of an embedding landscape: what `landscape.json` holds, one list a column."""

from __future__ import annotations

import numpy as np
import orjson

from shelfmark.arxiv import taxonomy
from shelfmark.arxiv.taxonomy import Level
from shelfmark.core.arrays import Doubles, Ints
from shelfmark.evaluation.records import Record

LEVELS: tuple[Level, ...] = ("group", "archive", "category")
SIDE = 10_000  # the coordinates of papers are whole numbers from 0 to this
LONGEST_TITLE = 120  # characters
OTHER = "other"  # the group of a category whose archive is not listed


class Papers(Record):
    """The papers of a landscape, one list a column; the order is random.

    Attributes:
        id: identifiers at arXiv.
        title: titles, long ones cut.
        x: from left to right, 0 to `SIDE`.
        y: from bottom to top, 0 to `SIDE`.
        category: primary category, an index of `Landscape.categories`.
    """

    id: list[str]
    title: list[str]
    x: list[int]
    y: list[int]
    category: list[int]


class Landscape(Record):
    """Papers of a split in a plane.

    Attributes:
        encoder: name of the encoder.
        digest: of its card.
        split: name of the split.
        method: pca or tsne.
        seed: of the sample and of t-SNE.
        command: the command line of the run.
        created: ISO 8601.
        synthetic: whether the papers are synthetic.
        left_out: papers of the sample whose vector is zero.
        categories: of the papers, ascending.
        papers: the papers.
    """

    encoder: str
    digest: str
    split: str
    method: str
    seed: int
    command: str | None = None
    created: str | None = None
    synthetic: bool = False
    left_out: int = 0
    categories: list[str]
    papers: Papers

    def to_json(self) -> bytes:
        """Return the content of `landscape.json`."""
        return orjson.dumps(self.model_dump(mode="json"))

    @property
    def places(self) -> Doubles:
        """The coordinates of the papers, shape (papers, 2)."""
        return np.array([self.papers.x, self.papers.y], np.float64).T

    def labels_at(self, level: Level) -> tuple[Ints, list[str]]:
        """Return the label of each paper at a level, as indices of the labels, and the labels.

        A category that is too coarse for the level, or not listed, is a label of its own.
        """
        of_category = [taxonomy.label_at(x, level) or x for x in self.categories]
        labels = sorted(set(of_category))
        codes = np.array([labels.index(label) for label in of_category], np.int64)
        return codes[self.papers.category], labels


def scale_places(places: Doubles) -> Ints:
    """Return coordinates as whole numbers from 0 to `SIDE`, the shape of the landscape kept."""
    low, high = places.min(axis=0), places.max(axis=0)
    extent = max(float((high - low).max()), 1e-12)
    centred = (places - (low + high) / 2) / extent + 0.5
    scaled: Ints = np.rint(centred * SIDE).astype(np.int64)
    return scaled
