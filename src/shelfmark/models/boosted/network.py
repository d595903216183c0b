"""The scores of a transformer beside those of the linear models, as features of the trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from shelfmark.core import checks
from shelfmark.core.arrays import Floats
from shelfmark.core.checks import State
from shelfmark.core.structure import Structured
from shelfmark.models.boosted.heads import slopes_of
from shelfmark.models.transformer.network import NetworkScores


class NetworkBlock(Structured):
    """The last columns of the features: the scores of a network.

    Args:
        network: reads the texts.
        means: of its scores over training papers that it did not see, shape (scores,).
        deviations: their standard deviations.
    """

    STATE: ClassVar[State] = {
        "network": checks.instance(NetworkScores),
        "means": checks.array(np.float32, 1),
        "deviations": checks.array(np.float32, 1, least=0),
    }

    def __init__(self, network: NetworkScores, means: Floats, deviations: Floats) -> None:
        self.network = network
        self.means = means
        self.deviations = deviations
        self.check_structure()

    @classmethod
    def of_scores(cls, network: NetworkScores, scores: Floats) -> Self:
        """Return the block of a network.

        Args:
            network: fitted on all training papers.
            scores: of training papers, each by a network that did not see it.
        """
        return cls(network, scores.mean(axis=0), scores.std(axis=0))

    def check_structure(self) -> None:
        """Check that there is a mean and a deviation for each score.

        Raises:
            ValueError: there is not.
        """
        checks.require_shape("means", self.means, (self.columns,))
        checks.require_shape("deviations", self.deviations, (self.columns,))

    @property
    def columns(self) -> int:
        """The number of scores."""
        return self.network.columns

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return the scores of texts, float32 of shape (texts, columns)."""
        return self.network.scores(texts)

    def weigh_words(self, text: str, scores: Floats, shares: Floats) -> dict[str, float]:
        """Return the part that each word of a text has in the shares of its scores.

        Args:
            text: as `scores` reads it.
            scores: of the text, shape (columns,).
            shares: what each score adds to a margin, shape (columns,).
        """
        slopes = slopes_of(shares, scores, self.means, self.deviations)
        return self.network.weigh_words(text, slopes) if slopes.any() else {}
