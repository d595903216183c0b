"""How well a text fits a model: its subject, and whether it reads like an abstract at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from shelfmark.core import checks, structure
from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.core.checks import State
from shelfmark.core.npy import ArraySpec
from shelfmark.core.structure import Source, Structured
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.low_rank import LowRankLinear
from shelfmark.models.scope import features

DETECTOR = "scope.pkl"
PREFIX = "scope-"  # of the names of its arrays
RARE = "other"  # label of the papers of rare categories
BATCH = 256  # texts, whose rows take some 16 MB
ALIKE = np.float32(30)  # the logit where there is nothing to tell apart
TINY = np.float32(1e-30)  # so that no logit is infinite


@dataclass(frozen=True)
class Evidence:
    """What speaks for some texts being papers of a model, a text a row.

    Args:
        subject: the logit of the model's own labels against the labels of other papers.
        form: the logit of papers against texts that are no abstracts.
        other: the most probable label of other papers, an index into the detector's labels; -1
            if there is none.
        kind: the most probable kind of a text that is no abstract, likewise.
        known: the number of different known words, those of grammar not counted.
        unknown: the number of different unknown words.
    """

    subject: Floats
    form: Floats
    other: Ints
    kind: Ints
    known: Ints
    unknown: Ints

    @classmethod
    def join(cls, parts: Sequence[Evidence]) -> Evidence:
        """Return the evidence of all parts."""
        none = np.zeros(0, np.float32), np.zeros(0, np.int64)
        empty = cls(none[0], none[0], none[1], none[1], none[1], none[1])
        columns = zip(*(vars(part).values() for part in (empty, *parts)), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


class ScopeDetector(Structured):
    """A small network that tells a model's own papers from other papers and from no papers.

    Its classes are the model's labels, then the labels of other papers, then kinds of texts that
    are no abstracts. Each group's probability is the sum of those of its classes.

    Args:
        vocabulary: 1 for the place of each word of the training papers.
        network: from the columns of texts to a score for each label.
        labels: the names of the classes.
        own: how many of them are the model's.
        papers: how many are labels of papers, the model's included.
    """

    STATE: ClassVar[State] = {
        "vocabulary": checks.array(np.uint8, 1),
        "network": checks.instance(LowRankLinear),
        "labels": checks.items(checks.string(), tuple),
        "own": checks.integer(1),
        "papers": checks.integer(1),
    }

    def __init__(
        self,
        vocabulary: Array,
        network: LowRankLinear,
        labels: tuple[str, ...],
        own: int,
        papers: int,
    ) -> None:
        self.vocabulary = vocabulary
        self.network = network
        self.labels = labels
        self.own = own
        self.papers = papers

    def check_structure(self) -> None:
        """Check that the network reads the columns of texts, and has a score for each label.

        Raises:
            ValueError: it does not.
        """
        checks.require_shape("vocabulary", self.vocabulary, (features.VOCABULARY,))
        checks.require_range("network", [self.network.shape[0]], *[features.WIDTH] * 2)
        checks.require_range("labels", [len(self.labels)], *[self.network.shape[1]] * 2)
        checks.require_range("own", [self.own], 1, self.papers)
        checks.require_range("papers", [self.papers], 1, len(self.labels) - 1)

    def weigh(self, texts: Sequence[str]) -> Evidence:
        """Return the evidence of texts as the model cleans them."""
        if 0 < len(texts) <= BATCH:
            return self._weigh(texts)
        parts = range(0, len(texts), BATCH)
        return Evidence.join([self._weigh(texts[begin : begin + BATCH]) for begin in parts])

    def _weigh(self, texts: Sequence[str]) -> Evidence:
        bag = features.read_bag(texts, self.vocabulary)
        scores = self.network.score_rows(bag.rows)
        kind = scores[:, self.papers :].argmax(axis=1) + self.papers
        own, others, kinds = self._group(scores)
        form = np.log((own + others) / kinds)
        if self.papers == self.own:
            alike, other = np.full(len(texts), ALIKE), np.full(len(texts), -1)
            return Evidence(alike, form, other, kind, bag.known, bag.unknown)
        other = scores[:, self.own : self.papers].argmax(axis=1) + self.own
        return Evidence(np.log(own / others), form, other, kind, bag.known, bag.unknown)

    def _group(self, scores: Floats) -> tuple[Floats, Floats, Floats]:
        """Return what is proportional to the probabilities of the three groups of classes."""
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        bounds = ((0, self.own), (self.own, self.papers), (self.papers, len(self.labels)))
        own, others, kinds = (powers[:, a:b].sum(axis=1) + TINY for a, b in bounds)
        return own, others, kinds

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write its files into the folder of an artifact.

        Returns:
            The specification of the array in each .npy file.
        """
        content, arrays = structure.dump(self, lambda name: (folder / name).open("wb"), PREFIX)
        (folder / DETECTOR).write_bytes(content)
        return arrays


def open_detector(source: Source, classes: Sequence[str]) -> ScopeDetector:
    """Return the detector among the files of an artifact.

    Args:
        source: its files.
        classes: the labels on its card.

    Raises:
        ShelfmarkError: a file is damaged or foreign, or does not fit the card.
    """
    try:
        detector = structure.load(source.content(DETECTOR), source)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{DETECTOR} was not opened: {error}") from error
    if type(detector) is not ScopeDetector:
        raise ShelfmarkError(f"{DETECTOR} holds no detector but {type(detector).__name__}")
    if list(detector.labels[: detector.own]) != list(classes):
        raise ShelfmarkError(f"{DETECTOR} has other classes than the card")
    return detector
