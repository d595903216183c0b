"""The rotation of a table, after which the first numbers of a vector hold most of it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Floats
from shelfmark.embeddings.static.vectors import scale_rows

SAMPLE = 30_000  # papers whose vectors give the axes: more change nothing
PART = 2048  # papers at a time
SMALLEST = 1e-6  # of the share of an axis, below which whitening does not stretch it further


def rotate_table(table: Floats, counts: sp.csr_matrix, whitening: float) -> Floats:
    """Return a table turned to the principal axes of the papers' unit vectors, the largest first.

    Without whitening all cosines stay as they are. The first numbers of the vectors alone, at unit
    length again, are then the best vectors of so few numbers in the mean square: they serve as
    Matryoshka sizes, which no part of the training has to pay for. Whitening divides an axis by its
    variance to a power: rare distinctions count for more, common ones such as the field for less.

    Source: Mu and Viswanath 2018, arXiv:1702.01417; Huang et al. 2021, arXiv:2104.01767.

    Args:
        table: the vectors of the terms, shape (terms, size).
        counts: of the terms in papers, shape (papers, terms).
        whitening: the power, 0 for a pure rotation; 0.5 makes all variances equal.
    """
    size = table.shape[1]
    squares, papers = np.zeros((size, size)), 0
    for begin in range(0, min(counts.shape[0], SAMPLE), PART):
        part = counts[begin : min(begin + PART, SAMPLE)]
        units = scale_rows(np.asarray(part @ table, np.float32))[0]
        squares += units.T @ units
        papers += len(units)
    variances, axes = np.linalg.eigh(squares / max(papers, 1))
    variances, axes = variances[::-1], axes[:, ::-1]
    # An eigenvector has no sign of its own; its largest number is made positive.
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(size)])
    stretch = np.maximum(variances, SMALLEST * variances[0]) ** -whitening
    turned: Floats = table @ (axes * (signs * stretch)).astype(np.float32)
    return turned
