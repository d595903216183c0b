"""Tables with a row for each term, whose numbers are int8 with a scale for each row.

They take a quarter of the memory and of the disk; of the answers of a model of 149 categories, one
in a thousand changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Array, Floats

LARGEST = 127  # of an int8
TOGETHER = 512  # papers whose terms are turned into floats at a time: some 60 MB
ALIKE = 4  # rows: BLAS multiplies them in hardly more time than one
FEW = 1 << 14  # stored features that are sorted faster than a mask of all terms is read

Rows = Callable[[Array], Floats]  # from some terms to their rows as floats


def quantize_rows(rows: Floats) -> tuple[Array, Floats]:
    """Return rows as int8 and the scale of each, shapes (rows, size) and (rows, 1).

    A number times its scale differs from the number before by half a scale at most.
    """
    quantized = np.empty(rows.shape, np.int8)
    scales = np.empty((len(rows), 1), np.float32)
    for begin in range(0, len(rows), TOGETHER):
        part = slice(begin, begin + TOGETHER)
        largest = np.abs(rows[part]).max(axis=1, initial=0, keepdims=True)
        scales[part] = np.maximum(largest, np.finfo(np.float32).tiny) / np.float32(LARGEST)
        np.rint(rows[part] / scales[part], out=quantized[part], casting="unsafe")
    return quantized, scales


def multiply(features: sp.csr_matrix, rows: Rows, terms: int) -> Iterator[Floats]:
    """Yield the product of features and a table, some papers at a time.

    Args:
        features: shape (papers, terms).
        rows: returns the rows of some terms.
        terms: the number of rows of the table.
    """
    for begin in range(0, features.shape[0], TOGETHER):
        part = features[begin : begin + TOGETHER]
        used, place = _narrow(part.indices, terms)
        narrow = sp.csr_matrix((part.data, place, part.indptr), (part.shape[0], len(used)))
        yield np.asarray(narrow @ rows(used), np.float32)


def multiply_alike(rows: Floats, table: Floats) -> Floats:
    """Return the product, shape (rows, columns of the table); no row depends on the others.

    BLAS adds up in another order for another number of rows, so that a paper would get other last
    bits alone than among others. A few rows at a time, it always takes the same way.
    """
    count = len(rows)
    padded = np.zeros((-(-count // ALIKE), ALIKE, rows.shape[1]), np.float32)
    padded.reshape(-1, rows.shape[1])[:count] = rows
    return np.asarray((padded @ table).reshape(-1, table.shape[1])[:count])


def add_parts(parts: Floats) -> Floats:
    """Return the sum of the rows, shape (columns,), added in the order of a sparse product."""
    if parts.shape[1] == 1:  # NumPy would add numbers that follow one another in another order
        return np.add.accumulate(parts)[-1:].ravel() if len(parts) else np.zeros(1, np.float32)
    return np.asarray(np.add.reduce(parts, axis=0))


def _narrow(indices: Array, terms: int) -> tuple[Array, Array]:
    """Return the different terms among some, rising, and the place of each among them."""
    if len(indices) <= FEW:
        used, place = np.unique(indices, return_inverse=True)
        return used, place.astype(np.int32)
    seen = np.zeros(terms, np.bool_)
    seen[indices] = True
    used = np.flatnonzero(seen)
    places = np.zeros(terms, np.int32)
    places[used] = np.arange(len(used), dtype=np.int32)
    return used, places[indices]
