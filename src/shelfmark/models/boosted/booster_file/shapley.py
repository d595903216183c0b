"""What each column adds to a margin: the Shapley values of trees, all leaves at a time.

XGBoost computes them for every class, and walks tree after tree. Here the leaves of the trees of
one margin are rows of arrays, and the columns on the way to a leaf are its players: with a share of
the training rows that would pass all nodes of the column (`shares`), and for a paper whether it
passes them. Players that a short way lacks change nothing.

Source: Lundberg et al., arXiv:1802.03888; by leaves: Mitchell, Frank and Holmes, arXiv:2010.13972.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial
from typing import NamedTuple

import numpy as np

from shelfmark.core.arrays import Array, Doubles, Floats, Ints
from shelfmark.models.boosted.booster_file.opening import Ensemble
from shelfmark.models.boosted.booster_file.trees import LEAF, NO_PARENT


class _Step(NamedTuple):
    """One node on the way to each leaf, shapes (leaves,)."""

    columns: Ints  # that of the node; one past all for none
    limits: Floats
    left: Array  # whether the way goes left
    missing: Array  # whether a missing value goes that way
    shares: Doubles  # of the training rows at the node that go that way


@dataclass(frozen=True)
class LeafPaths:
    """The leaves of the trees of one margin, and their players.

    Args:
        steps: from the leaves up; a column may occur twice on a way.
        repeats: pairs of steps, and the leaves for which both ask for the same column.
        shares: of the players, the first step of a column standing for all, float64 of shape
            (steps, leaves).
        leaves: the margin of each leaf.
        features: the number of columns that the trees read.
        base: the margin without trees.
    """

    steps: list[_Step]
    repeats: list[tuple[int, int, Ints]]
    shares: Doubles
    leaves: Doubles
    features: int
    base: float

    @classmethod
    def of(cls, ensemble: Ensemble, margin: int) -> LeafPaths:
        """Return the leaves of the trees of a margin."""
        in_margin = ensemble.in_round // len(ensemble.base)
        owners = np.arange(len(ensemble.trees.sizes)) // in_margin % len(ensemble.base)
        of_tree = np.repeat(owners == margin, ensemble.trees.sizes)
        ends = np.flatnonzero(of_tree & (ensemble.trees.left_children == LEAF))
        steps = list(_steps_up(ensemble, ends))
        weights = np.repeat(ensemble.weights, ensemble.trees.sizes)
        leaves = weights[ends] * ensemble.trees.split_conditions[ends]
        shares = np.ones((len(steps), len(ends)))
        for number, step in enumerate(steps):
            shares[number] = step.shares
        repeats = []
        for later in range(len(steps)):
            for first in range(later):
                same = steps[first].columns == steps[later].columns
                known = np.flatnonzero(same & (steps[later].columns < ensemble.features))
                if len(known):
                    shares[first, known] *= shares[later, known]
                    shares[later, known] = 1
                    repeats.append((first, later, known))
        base = float(ensemble.base[margin])
        return cls(steps, repeats, shares, leaves, ensemble.features, base)

    def contributions(self, row: Floats) -> Doubles:
        """Return what each column adds to the margin, and last what none adds, (features + 1,).

        Args:
            row: float32 of shape (features,), NaN for a missing value.
        """
        sums = np.zeros(self.features + 1)
        sums[-1] = self.base + self.leaves @ self.shares.prod(axis=0)
        if not self.steps:
            return sums
        passed = self._passed(row)
        whole = self._whole(passed)
        for number, step in enumerate(self.steps):
            share = self.shares[number]
            weight = self.leaves * (passed[number] - share) * self._without(whole, number, passed)
            sums += np.bincount(step.columns, weight, self.features + 1)
        return sums

    def _passed(self, row: Floats) -> Doubles:
        """Return 1 for the players of each leaf that the row passes, shape (steps, leaves)."""
        values = np.append(row, np.float32(0))
        passed = np.empty(self.shares.shape)
        for number, step in enumerate(self.steps):
            own = values[step.columns]
            passed[number] = np.where(np.isnan(own), step.missing, (own < step.limits) == step.left)
        for first, later, leaves in self.repeats:
            passed[first, leaves] *= passed[later, leaves]
            passed[later, leaves] = 1
        return passed

    def _whole(self, passed: Doubles) -> list[Doubles]:
        """Return the sums over all sets of so many players, 0 to all of them.

        A set's product has the passes of its players, and the shares of the others.
        """
        whole = [np.ones(len(self.leaves))]
        for share, own in zip(self.shares, passed, strict=True):
            longer = [share * part for part in whole]
            longer.append(own * whole[-1])
            for size in range(1, len(whole)):
                longer[size] += own * whole[size - 1]
            whole = longer
        return whole

    def _without(self, whole: list[Doubles], player: int, passed: Doubles) -> Doubles:
        """Return the weighted sum over all sets without a player."""
        share, inside = self.shares[player], passed[player] > 0
        count = len(whole) - 1
        total, part = np.zeros(len(self.leaves)), np.zeros(len(self.leaves))
        for size in range(count - 1, -1, -1):
            # The sets with the player are taken away from all sets, from the largest ones down.
            part = np.where(inside, whole[size + 1] - share * part, whole[size] / share)
            total += factorial(size) * factorial(count - 1 - size) / factorial(count) * part
        return total


def _steps_up(ensemble: Ensemble, ends: Ints) -> Iterator[_Step]:
    """Yield the nodes above some leaves, a level at a time, until all are at their roots."""
    trees = ensemble.trees
    first = np.repeat(trees.starts, trees.sizes)
    nodes = ends
    while (inside := trees.parents[nodes] != NO_PARENT).any():
        above = np.where(inside, first[nodes] + np.where(inside, trees.parents[nodes], 0), nodes)
        left = (first[above] + trees.left_children[above] == nodes) | ~inside
        covers = trees.sum_hessian.astype(np.float64)
        yield _Step(
            np.where(inside, trees.split_indices[above], ensemble.features).astype(np.int64),
            np.where(inside, trees.split_conditions[above], np.float32(np.inf)),
            left,
            np.where(inside, (trees.default_left[above] == 1) == left, True),
            np.where(inside, covers[nodes] / covers[above], 1.0),
        )
        nodes = above
