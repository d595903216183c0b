"""From texts to sparse numbers: TF-IDF, the terms that tell classes apart, and linear margins.

Everything stays CSR without stored zeros: to the trees an absent entry is "missing" and a stored
zero is a value, so training and serving must agree. Source:
https://xgboost.readthedocs.io/en/stable/faq.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import MaxAbsScaler

from shelfmark.config import FeaturesConfig, StackConfig
from shelfmark.errors import ShelfmarkError
from shelfmark.selection import ChosenTerms
from shelfmark.stacking import LinearScores
from shelfmark.vectorizer import FastTfidfVectorizer

Steps = list[tuple[str, Any]]


def fit(
    config: FeaturesConfig,
    stack: StackConfig | None,
    seed: int,
    texts: Sequence[str],
    targets: np.ndarray[Any, Any],
) -> tuple[Steps, sp.csr_matrix]:
    """Fit the feature steps on training texts alone.

    Args:
        config: the vectorizer and how many terms are chosen.
        stack: the linear model below the trees, None for none.
        seed: of the linear model and its folds.
        texts: cleaned training texts.
        targets: their classes, 0 … classes - 1.

    Returns:
        The fitted steps, ready for a `Pipeline`, and the features, shape (texts, columns), float32.

    Raises:
        ShelfmarkError: no term is left by `min_df`, `max_df` and `stop_words`.
    """
    vectorizer = FastTfidfVectorizer(
        max_features=config.max_features,
        ngram_range=config.ngram_range,
        stop_words=config.stop_words,
        min_df=config.min_df,
        max_df=config.max_df,
        sublinear_tf=config.sublinear_tf,
        strip_accents=config.strip_accents,
        dtype=np.float32,
    )
    try:
        words = vectorizer.fit_transform(texts)
    except ValueError as error:
        raise ShelfmarkError(f"features: {error}; lower min_df or raise max_df") from error
    chosen = min(config.chosen_terms or words.shape[1], words.shape[1])
    # A tree tells "present" from "absent" by a threshold above the largest value it saw. A title
    # alone holds few terms, each with a larger value than any abstract's: unbounded, it would fall
    # on the side of "absent".
    terms = Pipeline([("chosen", ChosenTerms(chosen)), ("bounded", MaxAbsScaler(clip=True))])
    parts: Steps = [("terms", terms)]
    if stack is not None:
        parts.insert(0, ("linear", LinearScores(stack.C, stack.folds, seed)))
    joined = FeatureUnion(parts, verbose_feature_names_out=False)
    features = sparse(joined.fit_transform(words, targets))
    return [("tfidf", vectorizer), ("joined", joined)], features


def transform(steps: Steps, texts: Sequence[str]) -> sp.csr_matrix:
    """Return the features of texts by fitted steps, shape (texts, terms), float32."""
    features: Any = texts
    for _, step in steps:
        features = step.transform(features)
    return sparse(features)


def sparse(features: Any) -> sp.csr_matrix:
    """Return the matrix in the one form the trees take in training and serving."""
    matrix = sp.csr_matrix(features)
    matrix.eliminate_zeros()
    return matrix


def names(steps: Steps) -> np.ndarray[Any, Any]:
    """Return the name of each feature, in the order of the columns."""
    words = steps[0][1].get_feature_names_out()
    found: np.ndarray[Any, Any] = steps[1][1].get_feature_names_out(words)
    return found
