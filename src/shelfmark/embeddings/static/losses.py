"""The losses of a static encoder, with their gradients by the unit vectors of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfmark.core.arrays import Floats
from shelfmark.embeddings.static.vectors import scale_rows, through_scaling


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


def contrast_at_sizes(
    left: Floats, right: Floats, scale: float, weights: dict[int, float]
) -> PairLoss:
    """Return the sum of the losses of the first numbers of the vectors, as weighted.

    So the first numbers alone are vectors too. Source: Kusupati et al. 2022, arXiv:2205.13147.

    Args:
        left: unit vectors, float32 of shape (pairs, size).
        right: unit vectors of the partners.
        scale: the inverse temperature of the softmax.
        weights: of the loss at each number of numbers.
    """
    value, gradients = 0.0, (np.zeros_like(left), np.zeros_like(right))
    for size, weight in weights.items():
        (a, a_length), (b, b_length) = scale_rows(left[:, :size]), scale_rows(right[:, :size])
        loss = contrast_pairs(a, b, scale)
        value += weight * loss.value
        gradients[0][:, :size] += np.float32(weight) * through_scaling(loss.left, a, a_length)
        gradients[1][:, :size] += np.float32(weight) * through_scaling(loss.right, b, b_length)
    return PairLoss(value, *gradients)


def attract_to_categories(
    vectors: Floats, centres: Floats, targets: Floats, scale: float
) -> tuple[float, Floats, Floats]:
    """Return the softmax loss of the categories' centres, and its gradients by both arguments.

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
    return value, slope @ centres, slope.T @ vectors
