"""The losses of a static encoder: their values and their gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shelfmark.config.encoders import MOST_SCALE
from shelfmark.core.arrays import Doubles
from shelfmark.embeddings.static.losses import (
    attract_to_categories,
    contrast_pairs,
)
from shelfmark.embeddings.static.vectors import scale_rows, through_scaling

RNG = np.random.default_rng(7)
SCALE = 6.0


def unit_rows(rows: int, size: int) -> Doubles:
    values = RNG.standard_normal((rows, size))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def numeric(loss: Callable[[Doubles], float], at: Doubles, step: float = 1e-6) -> Doubles:
    """Return the gradient of a loss by central differences."""
    slope = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        moved = at.copy()
        moved[place] += step
        higher = loss(moved)
        moved[place] -= 2 * step
        slope[place] = (higher - loss(moved)) / (2 * step)
    return slope


def test_the_loss_of_pairs_is_the_mean_of_both_directions() -> None:
    left, right = unit_rows(5, 3), unit_rows(5, 3)
    scores = SCALE * left @ right.T
    own = np.diag(scores)
    rows = np.log(np.exp(scores).sum(axis=1)) - own
    columns = np.log(np.exp(scores).sum(axis=0)) - own
    expected = (rows.mean() + columns.mean()) / 2
    assert contrast_pairs(left, right, SCALE).value == pytest.approx(expected)


def test_the_gradients_of_pairs_are_those_of_the_loss() -> None:
    left, right = unit_rows(5, 3), unit_rows(5, 3)
    loss = contrast_pairs(left, right, SCALE)
    by_left = numeric(lambda at: contrast_pairs(at, right, SCALE).value, left)
    by_right = numeric(lambda at: contrast_pairs(left, at, SCALE).value, right)
    np.testing.assert_allclose(loss.left, by_left, atol=1e-7)
    np.testing.assert_allclose(loss.right, by_right, atol=1e-7)


def test_the_gradients_of_categories_are_those_of_the_loss() -> None:
    vectors, centres = unit_rows(4, 3), unit_rows(6, 3)
    targets = RNG.random((4, 6))
    targets /= targets.sum(axis=1, keepdims=True)
    targets[2] = 0  # a paper that does not count
    found = attract_to_categories(vectors, centres, targets, SCALE)
    assert not found.vectors[2].any()

    def loss(x: Doubles, y: Doubles) -> float:
        return attract_to_categories(x, y, targets, SCALE).value

    assert found.value == loss(vectors, centres)
    np.testing.assert_allclose(
        found.vectors, numeric(lambda x: loss(x, centres), vectors), atol=1e-7
    )
    np.testing.assert_allclose(
        found.centres, numeric(lambda y: loss(vectors, y), centres), atol=1e-7
    )


def test_the_gradient_passes_through_the_scaling() -> None:
    rows, slope = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3))
    units, lengths = scale_rows(rows)
    passed = through_scaling(slope, units, lengths)
    expected = numeric(lambda at: float((scale_rows(at)[0] * slope).sum()), rows)
    np.testing.assert_allclose(passed, expected, atol=1e-6)


def test_a_zero_row_stays_zero_and_passes_no_gradient() -> None:
    units, lengths = scale_rows(np.zeros((2, 3), np.float32))
    assert not units.any()
    assert not through_scaling(np.ones((2, 3), np.float32), units, lengths).any()


def test_no_similarity_overflows_at_the_largest_scale() -> None:
    same = np.repeat(unit_rows(1, 4), 3, axis=0).astype(np.float32)
    opposite = contrast_pairs(same, -same, MOST_SCALE)
    assert np.isfinite(opposite.value)
    assert np.isfinite(opposite.left).all()
