"""Weigh counts of terms as scikit-learn does, to the last bit, without its checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.utils.sparsefuncs_fast import (
    inplace_csr_row_normalize_l1,
    inplace_csr_row_normalize_l2,
)

from shelfmark.core.arrays import SmallInts

BLOCK = 1 << 18  # elements of a matrix that fit the cache
NORMALIZE = {
    "l1": inplace_csr_row_normalize_l1,
    "l2": inplace_csr_row_normalize_l2,
    None: lambda X: None,
}


def matches_weights(tfidf: TfidfTransformer, width: int) -> bool:
    """Whether the checks of `TfidfTransformer.transform` would pass."""
    return (
        bool(getattr(tfidf, "n_features_in_", None) == width)
        and len(vars(tfidf).get("idf_", range(width))) == width
    )


def inverse_frequencies(
    df: SmallInts, documents: int, smooth: bool, dtype: Any
) -> NDArray[np.floating[Any]]:
    """Return the idf of terms as `TfidfTransformer.fit` computes it, shape (n_terms,).

    Args:
        df: the number of documents of each term.
        documents: the number of all documents.
        smooth: whether to add one to both.
        dtype: float32 or float64.
    """
    frequencies = df.astype(dtype)
    frequencies += float(smooth)
    idf = np.full_like(frequencies, documents + int(smooth))
    idf /= frequencies
    np.log(idf, out=idf)
    idf += 1.0
    return idf


def weigh_rows(X: Any, tfidf: TfidfTransformer) -> Any:
    """Return the weights of counts as `TfidfTransformer.transform` does, unchecked."""
    weigh_in_place(X, tfidf)
    arrays = get_config().get("sparse_interface") == "sparray"
    kind = sp.csr_array if arrays else sp.csr_matrix
    return kind((X.data, X.indices, X.indptr), X.shape)


def weigh_in_place(X: Any, tfidf: TfidfTransformer) -> None:
    """Weigh counts in place; `X` has the arrays and the shape of a CSR."""
    if tfidf.sublinear_tf:
        _dampen(X)
    if hasattr(tfidf, "idf_"):
        X.data *= tfidf.idf_[X.indices]
    NORMALIZE[tfidf.norm](X)


def weigh_columns(X: sp.csc_array, tfidf: TfidfTransformer, seen: NDArray[np.intp]) -> None:
    """Weigh the counts of a CSC in place.

    Args:
        X: the counts.
        tfidf: the fitted weights.
        seen: the columns in the order in which scikit-learn meets them.
    """
    if tfidf.sublinear_tf:
        _dampen(X)
    if tfidf.use_idf:
        X.data *= np.repeat(tfidf.idf_, np.diff(X.indptr))
    if tfidf.norm is not None:
        normalize(X, tfidf.norm, seen)


def _dampen(X: Any) -> None:
    np.log(X.data, X.data)
    X.data += 1.0


def normalize(X: Any, norm: str, seen: NDArray[np.intp]) -> None:
    """Divide each row of a CSC matrix by its norm, summed in the order of scikit-learn.

    Another order than that of the columns `seen` would change the last digit. `np.bincount` adds
    one by one; the sum so far goes first.
    """
    norms = np.zeros(X.shape[0])
    every = np.arange(X.shape[0])
    sizes = np.diff(X.indptr)
    for columns in np.array_split(seen, X.nnz // BLOCK + 1):
        size = sizes[columns]
        shift = X.indptr[columns] - (np.cumsum(size) - size)
        order = np.repeat(shift, size) + np.arange(size.sum())
        data = X.data[order]
        parts = data * data if norm == "l2" else np.abs(data)
        rows = np.concatenate([every, X.indices[order]])
        norms = np.bincount(rows, np.concatenate([norms, parts]))
    if norm == "l2":
        np.sqrt(norms, norms)
    # In float64 and then rounded, whatever the type of the data.
    np.divide(X.data, norms[X.indices], X.data, casting="same_kind")
