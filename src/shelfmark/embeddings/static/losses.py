"""The losses of a static encoder, with their gradients by the unit vectors of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfmark.core.arrays import Floats


@dataclass(frozen=True)
class PairLoss:
    """The loss of a batch of pairs.

    Args:
        value: the mean over the pairs.
        left: its gradient by the left vectors, shape (pairs, size).
        right: its gradient by the right vectors.
    """

    value: float
    left: Floats
    right: Floats


def contrast_pairs(left: Floats, right: Floats, scale: float) -> PairLoss:
    """Return the symmetric softmax loss of pairs: each text must find its partner in the batch.

    All others of the batch are its negatives, in both directions; without copies of the matrix of
    similarities, which is most of the memory.

    Source: van den Oord et al. 2018, arXiv:1807.03748; Radford et al. 2021, arXiv:2103.00020.

    Args:
        left: unit vectors, float32 of shape (pairs, size).
        right: unit vectors of the partners.
        scale: the inverse temperature of the softmax.
    """
    pairs = len(left)
    scores = left @ right.T
    # No cosine exceeds 1, so nothing overflows; up to `MOST_SCALE` nothing becomes 0 either.
    scores -= 1
    scores *= scale
    np.exp(scores, out=scores)
    rows, columns = scores.sum(axis=1), scores.sum(axis=0)
    own = np.einsum("ii->i", scores)
    likelihood = 2 * np.log(own) - np.log(rows) - np.log(columns)
    scores *= (1 / rows)[:, None] + 1 / columns
    own -= 2
    scores *= scale / (2 * pairs)
    value = -float(likelihood.mean()) / 2
    return PairLoss(value, np.asarray(scores @ right), np.asarray(scores.T @ left))


@dataclass(frozen=True)
class CategoryLoss:
    """The loss of the categories of a batch of papers.

    Args:
        value: the mean over the papers.
        vectors: its gradient by the papers' vectors, shape (papers, size).
        centres: its gradient by the categories' centres, shape (categories, size).
    """

    value: float
    vectors: Floats
    centres: Floats


def attract_to_categories(
    vectors: Floats, centres: Floats, targets: Floats, scale: float
) -> CategoryLoss:
    """Return the softmax loss of the categories' centres, each paper near those of its own.

    Args:
        vectors: unit vectors, float32 of shape (papers, size).
        centres: unit vectors of the categories, shape (categories, size).
        targets: the share of each category in a paper, shape (papers, categories); a row sums to
            one, or to zero for a paper that does not count.
        scale: the inverse temperature of the softmax.
    """
    slope = vectors @ centres.T
    slope -= 1
    slope *= np.float32(scale)
    logarithm = slope - np.log(np.exp(slope).sum(axis=1, keepdims=True))
    counted = targets.sum(axis=1, keepdims=True)
    value = -float(np.einsum("ij,ij->", targets, logarithm)) / len(vectors)
    slope = (np.exp(logarithm) * counted - targets) * np.float32(scale / len(vectors))
    return CategoryLoss(value, np.asarray(slope @ centres), np.asarray(slope.T @ vectors))
