"""The trees of a booster: read as columns over all nodes of all trees, and checked together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from shelfmark.core.arrays import Array, Doubles, Floats, Indicator, Ints, SmallInts
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.booster_file.layout import read_columns
from shelfmark.models.boosted.booster_file.ubj import Reader

LEAF = -1  # the child of a leaf
NO_PARENT = (1 << 31) - 1  # the parent of a root
# Explanations take time and stack by the depth; `model.max_depth` is at most 20.
DOUBLINGS = 6
DEEPEST = 1 << DOUBLINGS
COVER_ROUNDING = 1e-3  # by how much the hessians of a child may exceed those of its parent


class _Splits(NamedTuple):
    """The nodes that split, counted over all trees.

    Attributes:
        nodes: which they are.
        lefts: the left child of each.
        rights: the right child of each.
    """

    nodes: Ints
    lefts: Ints
    rights: Ints


@dataclass(frozen=True)
class Trees:
    """The nodes of all trees, one tree after the other; children and parents count within a tree.

    Args:
        sizes: how many nodes each tree has, at least 1.
        base_weights: the weight of each node as if it were a leaf.
        default_left: 1 where a missing value goes left.
        left_children: the left child, `LEAF` for a leaf.
        loss_changes: the gain of each split.
        parents: the parent, `NO_PARENT` for a root.
        right_children: the right child, `LEAF` for a leaf.
        split_conditions: the threshold of each split, and the margin of each leaf.
        split_indices: the column of each split.
        split_type: 1 for a split by categories.
        sum_hessian: the hessians of the rows that reached each node.
    """

    sizes: Ints
    base_weights: Floats
    default_left: Indicator
    left_children: SmallInts
    loss_changes: Floats
    parents: SmallInts
    right_children: SmallInts
    split_conditions: Floats
    split_indices: SmallInts
    split_type: Indicator
    sum_hessian: Floats

    @classmethod
    def read(cls, reader: Reader, count: int, features: int) -> Self:
        """Read so many trees.

        Raises:
            ShelfmarkError: a tree is not in the form in which XGBoost writes it.
        """
        columns: dict[str, Any] = read_columns(reader, count, features)
        return cls(**columns)

    def check(self, features: int) -> None:
        """Check that each tree is a proper binary tree over so many columns, all numbers in range.

        Raises:
            ShelfmarkError: a node is not; one such node is named.
        """
        self._require((self.split_type == 0) & (self.default_left <= 1), "splits by categories")
        columns = (self.split_indices >= 0) & (self.split_indices < features)
        self._require(columns, f"splits by a column that is not one of {features}")
        for name in ("base_weights", "loss_changes", "split_conditions", "sum_hessian"):
            self._require(np.isfinite(getattr(self, name)), f"has a {name} that is not finite")
        splits = self._check_links()
        self._check_depth()
        self._check_cover(splits)

    def largest_leaves(self) -> Doubles:
        """Return the largest absolute margin of a leaf of each tree, shape (trees,)."""
        leaves = np.where(self.left_children == LEAF, np.abs(self.split_conditions), 0)
        return np.maximum.reduceat(leaves, self.starts).astype(np.float64)

    @property
    def starts(self) -> Ints:
        """The root of each tree among all nodes, shape (trees,)."""
        return np.cumsum(self.sizes) - self.sizes

    def _check_links(self) -> _Splits:
        """Check that every node but the root is the child of exactly one node before it."""
        starts = self.starts
        leaves = self.left_children == LEAF
        self._require(leaves == (self.right_children == LEAF), "has one child")
        counts = np.add.reduceat(~leaves, starts, dtype=np.int64)
        self._require_trees(2 * counts + 1 == self.sizes, "has nodes without a parent")
        self._require_trees(self.parents[starts] == NO_PARENT, "has a root with a parent")
        nodes = np.flatnonzero(~leaves)
        first = np.repeat(starts, counts)
        ends = first + np.repeat(self.sizes, counts)
        lefts, rights = first + self.left_children[nodes], first + self.right_children[nodes]
        for children in (lefts, rights):
            inside = (nodes < children) & (children < ends)
            self._require(inside, "has a child that is not a later node of its tree", nodes)
            own = self.parents[children] == nodes - first
            self._require(own, "is not the parent of its child", nodes)
        self._require(lefts != rights, "has one child twice", nodes)
        return _Splits(nodes, lefts, rights)

    def _check_depth(self) -> None:
        """Check the depth, where the links are right: so many steps up lead to the root."""
        starts = self.starts
        roots = np.repeat(starts, self.sizes)
        above = roots + self.parents
        above[starts] = starts
        for _ in range(DOUBLINGS):
            above = above[above]
        self._require(above == roots, f"is deeper than {DEEPEST} splits")

    def _check_cover(self, splits: _Splits) -> None:
        """Check that no child has more hessians than its parent: explanations divide by them."""
        self._require(self.sum_hessian > 0, "has a sum_hessian that is not positive")
        limits = self.sum_hessian[splits.nodes].astype(np.float64) * (1 + COVER_ROUNDING)
        for children in (splits.lefts, splits.rights):
            enough = self.sum_hessian[children] <= limits
            self._require(enough, "has less sum_hessian than its child", splits.nodes)

    def _require(self, holds: Array, reason: str, nodes: Ints | None = None) -> None:
        """Raise `ShelfmarkError` if a node of all, or of those given, does not hold."""
        if holds.all():
            return
        node = int(np.argmin(holds) if nodes is None else nodes[np.argmin(holds)])
        starts = self.starts
        tree = int(np.searchsorted(starts, node, side="right")) - 1
        where = f"node {node - int(starts[tree])} of tree {tree}"
        raise ShelfmarkError(f"{where} {reason}")

    def _require_trees(self, holds: Array, reason: str) -> None:
        if not holds.all():
            raise ShelfmarkError(f"tree {int(np.argmin(holds))} {reason}")
