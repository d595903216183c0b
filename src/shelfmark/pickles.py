"""Pickles opened only if they use no name outside a short list: a foreign one never runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from shelfmark.errors import ShelfmarkError

# Every name a pipeline's pickle may use. Anything else could run code, and is refused unopened.
ALLOWED = frozenset(
    {
        ("builtins", "bytearray"),
        ("collections", "OrderedDict"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy", "float32"),
        ("numpy", "float64"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("scipy.sparse._csr", "csr_matrix"),
        ("scipy.sparse._dia", "dia_array"),
        ("scipy.sparse._dia", "dia_matrix"),
        ("shelfmark.classifiers", "Linear"),
        ("shelfmark.classifiers", "Reranker"),
        ("shelfmark.classifiers", "Trees"),
        ("shelfmark.decision", "CrossLists"),
        ("shelfmark.decision", "Decision"),
        ("shelfmark.embedding", "Embedding"),
        ("shelfmark.features", "Beside"),
        ("shelfmark.features", "titles"),
        ("shelfmark.scorers", "Bayes"),
        ("shelfmark.scorers", "Svm"),
        ("shelfmark.selection", "ChosenTerms"),
        ("shelfmark.stacking", "OutOfFold"),
        ("shelfmark.vectorizer", "FastTfidfVectorizer"),
        ("sklearn.feature_extraction.text", "TfidfTransformer"),
        ("sklearn.pipeline", "Pipeline"),
        ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
        ("xgboost.core", "Booster"),
    }
)


class _Unpickler(pickle.Unpickler):
    """Finds the names of `ALLOWED` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it uses {module}.{name}, which no model of ours does")
        return super().find_class(module, name)


def load(path: Path) -> Any:
    """Return what a pickle holds.

    Raises:
        ShelfmarkError: it is damaged, or uses a name outside of `ALLOWED`.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise ShelfmarkError(f"{path} was not opened: {error}") from error
