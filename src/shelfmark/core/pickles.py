"""Pickles, read only if they use no name outside a short list: foreign code never runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from shelfmark.errors import ShelfmarkError

# The present place of each class of ours that a pickle may hold, and every place where models
# trained by earlier versions say it is: a class that moves or is renamed gets one more.
OURS = {
    ("shelfmark.models.boosted.decision", "CalibratedClassifier"): (
        ("shelfmark.decision", "Decision"),
    ),
    ("shelfmark.models.boosted.decision", "CrossLists"): (("shelfmark.decision", "CrossLists"),),
    ("shelfmark.models.boosted.features", "ChosenTerms"): (("shelfmark.selection", "ChosenTerms"),),
    ("shelfmark.models.boosted.features", "FastFeatureUnion"): (("shelfmark.features", "Beside"),),
    ("shelfmark.models.boosted.features", "titles"): (("shelfmark.features", "titles"),),
    ("shelfmark.models.boosted.heads", "LinearHead"): (("shelfmark.classifiers", "Linear"),),
    ("shelfmark.models.boosted.heads", "RerankerHead"): (("shelfmark.classifiers", "Reranker"),),
    ("shelfmark.models.boosted.heads", "TreeHead"): (("shelfmark.classifiers", "Trees"),),
    ("shelfmark.models.boosted.low_rank", "LowRankLinear"): (("shelfmark.embedding", "Embedding"),),
    ("shelfmark.models.boosted.scorers", "Bayes"): (("shelfmark.scorers", "Bayes"),),
    ("shelfmark.models.boosted.scorers", "Svm"): (("shelfmark.scorers", "Svm"),),
    ("shelfmark.models.boosted.stacking", "CrossFittedScores"): (
        ("shelfmark.stacking", "OutOfFold"),
    ),
    ("shelfmark.tfidf.vectorizer", "FastTfidfVectorizer"): (
        ("shelfmark.vectorizer", "FastTfidfVectorizer"),
    ),
}
RENAMED = {earlier: present for present, places in OURS.items() for earlier in places}
# Every name that a pickle may use. Any other could run code, so the pickle is refused unread.
ALLOWED = frozenset(OURS) | {
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
    ("sklearn.feature_extraction.text", "TfidfTransformer"),
    ("sklearn.pipeline", "Pipeline"),
    ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
    ("xgboost.core", "Booster"),
}


class _Unpickler(pickle.Unpickler):
    """Resolves the names of `ALLOWED` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        module, name = RENAMED.get((module, name), (module, name))
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it uses {module}.{name}, which no model of ours does")
        return super().find_class(module, name)


def load(path: Path) -> Any:
    """Return the content of a pickle.

    Raises:
        ShelfmarkError: the file is damaged, or uses a name outside of `ALLOWED`.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise ShelfmarkError(f"{path} was not opened: {error}") from error
