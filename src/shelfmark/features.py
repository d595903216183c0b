"""From texts to sparse numbers: TF-IDF, and the choice of the terms that tell classes apart.

Everything stays CSR without stored zeros: to the trees an absent entry is "missing" and a stored
zero is a value, so training and serving must agree. Source:
https://xgboost.readthedocs.io/en/stable/faq.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.preprocessing import MaxAbsScaler

from shelfmark.config import FeaturesConfig
from shelfmark.errors import ShelfmarkError

Steps = list[tuple[str, Any]]


def fit(
    config: FeaturesConfig, texts: Sequence[str], labels: np.ndarray[Any, Any]
) -> tuple[Steps, sp.csr_matrix]:
    """Fit the feature steps on training texts alone.

    Returns:
        The fitted steps, ready for a `Pipeline`, and the features, shape (texts, terms), float32.

    Raises:
        ShelfmarkError: no term is left by `min_df`, `max_df` and `stop_words`.
    """
    vectorizer = TfidfVectorizer(
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
        features = vectorizer.fit_transform(texts)
    except ValueError as error:
        raise ShelfmarkError(f"features: {error}; lower min_df or raise max_df") from error
    steps: Steps = [("tfidf", vectorizer)]
    if config.chosen_terms is not None and config.chosen_terms < features.shape[1]:
        chosen = SelectKBest(chi2, k=config.chosen_terms)
        features = chosen.fit_transform(features, labels)
        steps.append(("chosen", chosen))
    # A tree tells "present" from "absent" by a threshold above the largest value it saw. A title
    # alone holds few terms, each with a larger value than any abstract's: unbounded, it would fall
    # on the side of "absent".
    bounded = MaxAbsScaler(clip=True)
    steps.append(("bounded", bounded))
    return steps, sparse(bounded.fit_transform(features))


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


def terms(steps: Steps) -> np.ndarray[Any, Any]:
    """Return the name of each feature, in the order of the columns."""
    names: np.ndarray[Any, Any] = steps[0][1].get_feature_names_out()
    for _, step in steps[1:]:
        names = step.get_feature_names_out(names)
    return names
