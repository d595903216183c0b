"""Tables with a row for each term, whose numbers are int8 with a scale for each row.

They take a quarter of the memory and of the disk; of the answers of a model of 149 categories, one
in a thousand changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Array, Floats, SparseRow, SparseRows

LARGEST = 127  # of an int8
TOGETHER = 512  # papers whose terms are turned into floats at a time: some 60 MB
ALIKE = 4  # rows: BLAS multiplies them in hardly more time than one
FEW = 1 << 14  # stored features that are sorted faster than a mask of all terms is read


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


def multiply(features: sp.csr_matrix, table: Array, scales: Floats) -> Iterator[Floats]:
    """Yield the product of features and a table, some papers at a time.

    Args:
        features: float32 of shape (papers, terms).
        table: int8 of shape (terms, columns).
        scales: of equal parts of each row of the table, shape (terms, parts).
    """
    for begin in range(0, features.shape[0], TOGETHER):
        some = features[begin : begin + TOGETHER]
        used, place = _narrow(some.indices, len(table))
        blocks = []
        for part, columns in enumerate(np.split(table[used], scales.shape[1], axis=1)):
            values = some.data * scales[some.indices, part]
            narrow = sp.csr_matrix((values, place, some.indptr), (some.shape[0], len(used)))
            blocks.append(narrow @ columns.astype(np.float32))
        yield np.hstack(blocks)


def sum_rows(features: SparseRows, table: Array, scales: Floats | None) -> Floats:
    """Return the product of papers and a table, shape (papers, columns).

    Args:
        features: of the papers.
        table: of floats, or as for `multiply` with `scales`.
        scales: as for `multiply`, None for a table of floats.
    """
    sums = np.empty((len(features), table.shape[1]), np.float32)
    for number, row in enumerate(features):
        sums[number] = sum_row(row, table, scales)
    return sums


def sum_row(features: SparseRow, table: Array, scales: Floats | None) -> Floats:
    """Return the product of one paper and a table, shape (columns,).

    The rows are added one after the other, as a sparse product adds them, to the last bit.
    """
    values, rows = _rows_in_parts(features, table, scales)
    if table.shape[1] == 1:  # numbers that follow one another would be added in another order
        return np.add.accumulate([np.float32(0), *(values * rows[:, 0]).ravel()])[-1:]
    return np.asarray(np.einsum("tpc,tp->pc", rows, values).reshape(-1))


def weigh_rows(features: SparseRow, table: Array, scales: Floats | None) -> Floats:
    """Return what each term adds to that product, shape (stored terms, columns)."""
    values, rows = _rows_in_parts(features, table, scales)
    return (rows * values[:, :, None]).reshape(len(values), table.shape[1])


def _rows_in_parts(
    features: SparseRow, table: Array, scales: Floats | None
) -> tuple[Floats, Floats]:
    """Return the values of terms by part, and their rows, (terms, parts, columns of a part)."""
    values = features.values[:, None]
    if scales is not None:
        values = values * scales.take(features.columns, axis=0)
    rows = table.take(features.columns, axis=0).astype(np.float32, copy=False)
    return values, rows.reshape(len(rows), values.shape[1], table.shape[1] // values.shape[1])


def multiply_alike(rows: Floats, table: Floats) -> Floats:
    """Return the product, shape (rows, columns of the table); no row depends on the others.

    BLAS adds up in another order for another number of rows, so that a paper would get other last
    bits alone than among others. A few rows at a time, it always takes the same way.
    """
    count = len(rows)
    padded = np.zeros((-(-count // ALIKE), ALIKE, rows.shape[1]), np.float32)
    padded.reshape(-1, rows.shape[1])[:count] = rows
    return np.asarray((padded @ table).reshape(-1, table.shape[1])[:count])


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
