"""Votes of a paper's nearest training papers, pooled with the margins of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from shelfmark.config.models import MOST_SHARPNESS, MOST_VOTERS
from shelfmark.core import checks
from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.embeddings.sizes import cut_vectors
from shelfmark.embeddings.static.encoder import StaticEncoder
from shelfmark.models.boosted.scorers import CLASS_COUNT, MOST_SCORES
from shelfmark.models.protocol import WordWeights

RARE = 3e-3  # added to shares of the votes before their logarithm
LARGEST = 127  # of an int8
COSINES = 1 << 25  # of texts with training papers, in memory at a time: 128 MiB
ROWS = 1 << 13  # vectors of training papers turned into floats at a time: they fit the cache
BLOCK = 64  # cosines of which the largest alone is compared first
MOST_WEIGHT = 20.0


class NeighbourVotes(Structured):
    """The classes of a paper's nearest training papers, as a second opinion.

    A neighbour votes for its own class with the weight exp(sharpness * (cosine - best cosine)). A
    pooled margin is the classifier's margin times one weight, plus the logarithm of the share of
    the votes times another: a logarithmic opinion pool. Source: Genest and Zidek 1986, Statistical
    Science 1(1). Both weights are fitted on validation, whose papers neither the classifier nor the
    encoder has seen: votes of training papers for one another would be too good, because the
    encoder was trained on them.

    Args:
        encoder: makes the vectors.
        rows: the vectors of the training papers without their lengths, int8 of shape (papers,
            size).
        scales: the factor of each row, float32 of shape (papers,).
        targets: the class of each training paper, uint16.
        classes: number of classes.
        papers: how many of the nearest vote.
        sharpness: how fast the weight of a vote falls with the cosine.
    """

    STATE: ClassVar[State] = {
        "encoder": checks.instance(StaticEncoder),
        "rows": checks.array(np.int8, 2),
        "scales": checks.array(np.float32, 1, least=0),
        "targets": checks.array(np.uint16, 1),
        "classes": CLASS_COUNT,
        "papers": checks.integer(1, MOST_VOTERS),
        "sharpness": checks.number(0, MOST_SHARPNESS),
        "margin_weight_": checks.number(0, MOST_WEIGHT),
        "vote_weight_": checks.number(0, MOST_WEIGHT),
    }

    margin_weight_: float
    vote_weight_: float

    def __init__(
        self,
        encoder: StaticEncoder,
        rows: Array,
        scales: Floats,
        targets: Array,
        classes: int,
        papers: int = 100,
        sharpness: float = 20.0,
    ) -> None:
        self.encoder = encoder
        self.rows = rows
        self.scales = scales
        self.targets = targets
        self.classes = classes
        self.papers = papers
        self.sharpness = sharpness

    @classmethod
    def from_vectors(
        cls, encoder: StaticEncoder, vectors: Floats, targets: Ints, **settings: Any
    ) -> Self:
        """Return the votes of training papers.

        Args:
            encoder: made the vectors, which may be cut.
            vectors: of the papers, float32 of shape (papers, size).
            targets: the class of each paper, -1 for a label that is no class.
            settings: `classes`, `papers` and `sharpness`.
        """
        return cls(encoder, *quantize_voters(vectors, targets), **settings)

    def check_structure(self) -> None:
        """Check that each training paper has a vector of the encoder's and a class.

        Raises:
            ValueError: it has not.
        """
        papers, size = self.rows.shape
        checks.require_range("papers", [papers], 1, np.iinfo(np.int32).max)
        checks.require_range("size", [size], 1, self.encoder.size)
        checks.require_shape("scales", self.scales, (papers,))
        checks.require_shape("targets", self.targets, (papers,))
        checks.require_range("targets", self.targets, 0, min(self.classes, MOST_SCORES) - 1)

    def fit(self, margins: Floats, votes: Floats, targets: Ints) -> Self:
        """Fit the two weights of the pool on papers not trained on, by the lowest log loss.

        Args:
            margins: of the classifier, shape (papers, classes).
            votes: the papers' `log_shares`, of the same shape.
            targets: their classes.
        """
        places = np.arange(len(targets))

        def loss(weights: Array) -> tuple[float, Array]:
            pooled = weights[0] * margins.astype(np.float64) + weights[1] * votes
            slope = softmax(pooled, axis=1)
            slope[places, targets] -= 1
            by_weight = np.array([(slope * margins).sum(), (slope * votes).sum()])
            known = log_softmax(pooled, axis=1)[places, targets]
            return float(-known.mean()), by_weight / len(targets)

        limits = [(0.0, MOST_WEIGHT)] * 2
        best = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=limits)
        self.margin_weight_, self.vote_weight_ = map(float, best.x)
        return self

    def pool(self, margins: Floats, texts: Sequence[str]) -> Floats:
        """Return the pooled margins, float32 of shape (texts, classes), as are `margins`."""
        return self.combine(margins, self.log_shares(texts))

    def combine(self, margins: Floats, votes: Floats) -> Floats:
        """Return the pooled margins, float32 of shape (papers, classes), as are the arguments."""
        return np.asarray(self.margin_weight_ * margins + self.vote_weight_ * votes, np.float32)

    def explain(self, weights: WordWeights, text: str, number: int) -> WordWeights:
        """Return what each word of a text adds to the pooled margin of a class.

        The votes are no word's: they are a part of the base.

        Args:
            weights: what each word adds to the classifier's margin.
            text: as `pool` reads it.
            number: of the class.
        """
        factor = self.margin_weight_
        votes = self.vote_weight_ * float(self.log_shares([text])[0, number])
        return replace(
            weights,
            margin=factor * weights.margin + votes,
            base=factor * weights.base + votes,
            weights={word: factor * weight for word, weight in weights.weights.items()},
        )

    def log_shares(self, texts: Sequence[str]) -> Floats:
        """Return the logarithm of each class's share of the votes, shape (texts, classes)."""
        return np.asarray(np.log(self.shares(texts) + np.float32(RARE)), np.float32)

    def shares(self, texts: Sequence[str]) -> Floats:
        """Return each class's share of the votes, float32 of shape (texts, classes).

        A text without any term that the encoder knows has no neighbours: all shares are equal.
        """
        vectors = cut_vectors(self.encoder.encode(texts), self.rows.shape[1])
        shares = np.full((len(texts), self.classes), 1 / self.classes, np.float32)
        known = np.flatnonzero(vectors.any(axis=1))
        step = max(1, COSINES // len(self.rows))
        for begin in range(0, len(known), step):
            part = known[begin : begin + step]
            shares[part] = self._count_votes(self._cosines(vectors[part]))
        return shares

    def _cosines(self, vectors: Floats) -> Floats:
        """Return the cosines of vectors with every training paper, shape (vectors, papers)."""
        cosines = np.empty((len(vectors), len(self.rows)), np.float32)
        for begin in range(0, len(self.rows), ROWS):
            part = slice(begin, begin + ROWS)
            cosines[:, part] = vectors @ self.rows[part].astype(np.float32).T
        cosines *= self.scales
        return cosines

    def _count_votes(self, cosines: Floats) -> Floats:
        count = min(self.papers, cosines.shape[1])
        nearest = np.stack([_find_largest(row, count) for row in cosines])
        found = np.take_along_axis(cosines, nearest, axis=1)
        weights = np.exp(self.sharpness * (found - found.max(axis=1, keepdims=True)))
        columns = self.targets[nearest] + self.classes * np.arange(len(cosines))[:, None]
        votes = np.bincount(columns.ravel(), weights.ravel(), len(cosines) * self.classes)
        shares = votes.reshape(len(cosines), self.classes) / weights.sum(axis=1, keepdims=True)
        return np.asarray(shares, np.float32)


def quantize_voters(vectors: Floats, targets: Ints) -> tuple[Array, Floats, Array]:
    """Return rows, scales and targets of the papers that vote, as `NeighbourVotes` holds them.

    Args:
        vectors: of papers, float32 of shape (papers, size).
        targets: the class of each paper, -1 for a label that is no class.
    """
    known = np.flatnonzero((targets >= 0) & vectors.any(axis=1))
    rows = np.empty((len(known), vectors.shape[1]), np.int8)
    scales = np.empty(len(known), np.float32)
    for begin in range(0, len(known), ROWS):
        part = slice(begin, begin + ROWS)
        values = vectors[known[part]]
        scales[part] = np.abs(values).max(axis=1) / LARGEST
        rows[part] = np.rint(values / scales[part, None])
    return rows, scales, targets[known].astype(np.uint16)


def _find_largest(values: Floats, count: int) -> Ints:
    """Return the places of the largest values, in any order.

    The largest values of blocks give a bound that at least `count` values reach, so that only the
    few values above it are partitioned: an eighth of the time of partitioning all.
    """
    blocks = len(values) // BLOCK
    if blocks < count:
        return np.argpartition(values, -count)[-count:]
    best = values[: blocks * BLOCK].reshape(blocks, BLOCK).max(axis=1)
    near = np.flatnonzero(values >= np.partition(best, -count)[-count])
    return near[np.argpartition(values[near], -count)[-count:]]
