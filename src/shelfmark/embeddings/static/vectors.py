"""Vectors of unit length, and the gradients through them."""

from __future__ import annotations

import numpy as np

from shelfmark.core.arrays import Floats

TINY = 1e-12  # a shorter vector counts as zero


def scale_rows(values: Floats) -> tuple[Floats, Floats]:
    """Return rows at unit length, and their lengths before; a zero row stays zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", values, values))
    return values / np.maximum(lengths, TINY)[:, None], lengths


def through_scaling(gradient: Floats, units: Floats, lengths: Floats) -> Floats:
    """Return the gradient by rows, from the gradient by the same rows at unit length."""
    along = np.einsum("ij,ij->i", gradient, units)
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > TINY)
    return np.asarray((gradient - units * along[:, None]) * inverse[:, None])
