"""Softmax and its logarithm over rows, with SciPy's results: for one paper its checks take longer.

Source: `scipy.special.softmax` and `log_softmax`.
"""

from __future__ import annotations

import numpy as np

from shelfmark.core.arrays import Floats


def softmax_rows(margins: Floats) -> Floats:
    """Return the softmax of each row, float32 of shape (rows, columns)."""
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return np.asarray(powers, np.float32)


def log_softmax_rows(margins: Floats) -> Floats:
    """Return the logarithm of the softmax of each row, float32 of the same shape."""
    moved = margins - margins.max(axis=1, keepdims=True)
    moved -= np.log(np.exp(moved).sum(axis=1, keepdims=True))
    return np.asarray(moved, np.float32)


def log_sum_exp_rows(logarithms: Floats) -> Floats:
    """Return the logarithm of the sum of the exponentials of each row, shape (rows, 1)."""
    largest = logarithms.max(axis=1, keepdims=True)
    total = np.exp(logarithms - largest).sum(axis=1, keepdims=True)
    return np.asarray(np.log(total) + largest)
