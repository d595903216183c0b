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
        ("shelfmark.models.boosted.heads", "Linear"),
        ("shelfmark.models.boosted.heads", "Reranker"),
        ("shelfmark.models.boosted.heads", "Trees"),
        ("shelfmark.models.boosted.decision", "CrossLists"),
        ("shelfmark.models.boosted.decision", "Decision"),
        ("shelfmark.models.boosted.low_rank", "Embedding"),
        ("shelfmark.models.boosted.features", "Beside"),
        ("shelfmark.models.boosted.features", "titles"),
        ("shelfmark.models.boosted.scorers", "Bayes"),
        ("shelfmark.models.boosted.scorers", "Svm"),
        ("shelfmark.models.boosted.selection", "ChosenTerms"),
        ("shelfmark.models.boosted.stacking", "OutOfFold"),
        ("shelfmark.tfidf.vectorizer", "FastTfidfVectorizer"),
        ("sklearn.feature_extraction.text", "TfidfTransformer"),
        ("sklearn.pipeline", "Pipeline"),
        ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
        ("xgboost.core", "Booster"),
    }
)


# Where models trained by earlier versions say that their classes are.
RENAMED = {
    ("shelfmark.classifiers", name): ("shelfmark.models.boosted.heads", name)
    for name in ("Linear", "Reranker", "Trees")
} | {
    ("shelfmark.decision", "CrossLists"): ("shelfmark.models.boosted.decision", "CrossLists"),
    ("shelfmark.decision", "Decision"): ("shelfmark.models.boosted.decision", "Decision"),
    ("shelfmark.embedding", "Embedding"): ("shelfmark.models.boosted.low_rank", "Embedding"),
    ("shelfmark.features", "Beside"): ("shelfmark.models.boosted.features", "Beside"),
    ("shelfmark.features", "titles"): ("shelfmark.models.boosted.features", "titles"),
    ("shelfmark.scorers", "Bayes"): ("shelfmark.models.boosted.scorers", "Bayes"),
    ("shelfmark.scorers", "Svm"): ("shelfmark.models.boosted.scorers", "Svm"),
    ("shelfmark.selection", "ChosenTerms"): ("shelfmark.models.boosted.selection", "ChosenTerms"),
    ("shelfmark.stacking", "OutOfFold"): ("shelfmark.models.boosted.stacking", "OutOfFold"),
    ("shelfmark.vectorizer", "FastTfidfVectorizer"): (
        "shelfmark.tfidf.vectorizer",
        "FastTfidfVectorizer",
    ),
}


class _Unpickler(pickle.Unpickler):
    """Finds the names of `ALLOWED` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        module, name = RENAMED.get((module, name), (module, name))
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
