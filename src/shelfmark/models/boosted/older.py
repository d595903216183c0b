"""Pipelines of older models, of which all is in one pickle; for converting them alone.

Only names of a short list are resolved. That keeps ordinary malicious pickles out, but not a
skilled one: state that NumPy does not check can be made into code. So such a pickle is opened only
where a person says that its maker is to be trusted.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import xgboost
from sklearn.pipeline import Pipeline

from shelfmark.core import structure
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.features import FastFeatureUnion, TitleVectorizer
from shelfmark.models.boosted.heads import BoosterHead
from shelfmark.models.boosted.pipeline import TextPipeline

# The present place of each class of ours that such a pickle holds, and the places where models of
# earlier versions say it is.
OURS = {
    ("shelfmark.models.boosted.decision", "CalibratedClassifier"): (
        ("shelfmark.decision", "Decision"),
    ),
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
    ("shelfmark.models.calibration.cross_lists", "CrossLists"): (
        ("shelfmark.decision", "CrossLists"),
    ),
    ("shelfmark.tfidf.vectorizer", "FastTfidfVectorizer"): (
        ("shelfmark.vectorizer", "FastTfidfVectorizer"),
    ),
}
RENAMED = structure.RENAMED | {
    earlier: present for present, places in OURS.items() for earlier in places
}
# Every name that such a pickle uses.
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


def open_pipeline(content: bytes | memoryview) -> TextPipeline:
    """Return the pipeline in the pickle of an older model, with the classes of today.

    Raises:
        ShelfmarkError: the pickle is damaged, or uses a name outside of `ALLOWED`.
    """
    try:
        pipeline = _Unpickler(io.BytesIO(content)).load()
        return _with_present_classes(pipeline)
    except Exception as error:  # a damaged pickle may raise anything
        raise ShelfmarkError(f"its pickle holds no pipeline of ours ({error})") from error


def _with_present_classes(pipeline: Pipeline) -> TextPipeline:
    (first, words), *rest = pipeline.steps
    fields = [
        (name, TitleVectorizer(field[-1]) if isinstance(field, Pipeline) else field)
        for name, field in words.transformer_list
    ]
    head = rest[-1][1].classifier
    if isinstance(head, BoosterHead):
        booster: xgboost.Booster = vars(head)["booster_"]  # today it is the content of a file
        head.keep_trees(booster)
    union = FastFeatureUnion(fields, transformer_weights=words.transformer_weights)
    return TextPipeline([(first, union), *rest])
