"""The rotation of a table to the principal axes of the papers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from shelfmark.core.arrays import Floats
from shelfmark.embeddings.static.rotation import rotate_table
from shelfmark.embeddings.static.vectors import scale_rows

RNG = np.random.default_rng(7)
COUNTS = sp.random_array((400, 60), density=0.2, rng=RNG, dtype=np.float32, format="csr")
# Most of the variance lies along a few directions, none of them an axis.
MIXED = np.linalg.qr(RNG.standard_normal((12, 12)))[0]
TABLE = (RNG.standard_normal((60, 12)) * 0.7 ** np.arange(12) @ MIXED).astype(np.float32)


def vectors_of(table: Floats, size: int = 12) -> Floats:
    return scale_rows(np.asarray(COUNTS @ table)[:, :size])[0]


def test_a_rotation_alone_keeps_every_cosine() -> None:
    before, after = vectors_of(TABLE), vectors_of(rotate_table(TABLE, COUNTS, 0))
    np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-5)


def test_the_first_numbers_hold_most_of_a_vector() -> None:
    rotated = vectors_of(rotate_table(TABLE, COUNTS, 0))
    shares = (rotated**2).mean(axis=0)
    assert (np.diff(shares) < 1e-6).all()
    exact = vectors_of(TABLE) @ vectors_of(TABLE).T

    def error(table: Floats) -> float:
        cut = vectors_of(table, 4)
        return float(((cut @ cut.T - exact) ** 2).mean())

    assert error(rotate_table(TABLE, COUNTS, 0)) < 0.5 * error(TABLE)


@pytest.mark.parametrize("whitening", [0.25, 0.5])
def test_whitening_evens_out_the_variances(whitening: float) -> None:
    def spread(table: Floats) -> float:
        shares = (vectors_of(table) ** 2).mean(axis=0)
        return float(shares.max() / shares.min())

    assert spread(rotate_table(TABLE, COUNTS, whitening)) < 0.6 * spread(
        rotate_table(TABLE, COUNTS, 0)
    )


def test_a_table_that_uses_few_axes_stays_finite() -> None:
    flat = np.zeros_like(TABLE)
    flat[:, :2] = TABLE[:, :2]
    assert np.isfinite(rotate_table(flat, COUNTS, 0.5)).all()
