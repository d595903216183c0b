"""The terms that tell the classes apart, chosen once."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_selection import SelectKBest, chi2


class ChosenTerms(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the `k` features on which the classes differ most, by chi2, within 0 to 1.

    What scikit-learn's `SelectKBest` and `MaxAbsScaler(clip=True)` give of features that are never
    negative. Those look through all features anew at each `transform`, which takes longer than all
    else that is done for a paper.

    The bound is for the trees, which tell "present" from "absent" by a threshold above the largest
    value they saw. A title alone holds few terms, each with a larger value than any abstract's:
    unbounded, it would fall on the side of "absent".
    """

    def __init__(self, k: int = 1000) -> None:
        self.k = k

    def fit(self, features: sp.csr_matrix, targets: np.ndarray[Any, Any]) -> ChosenTerms:
        """Choose among features of shape (papers, terms)."""
        chosen = SelectKBest(chi2, k=self.k).fit(features, targets)
        self.columns_ = chosen.get_support(indices=True)
        self.place_ = np.full(features.shape[1], -1, np.int32)
        self.place_[self.columns_] = np.arange(len(self.columns_))
        largest = features[:, self.columns_].max(axis=0).toarray()[0]
        self.largest_ = np.where(largest > 0, largest, 1).astype(features.dtype)
        return self

    def transform(self, features: sp.csr_matrix) -> sp.csr_matrix:
        """Return the chosen features over the largest of each in training, 1 at most."""
        place = self.place_[features.indices]
        kept = place >= 0
        ends = np.concatenate([[0], np.cumsum(kept)])[features.indptr]
        place = place[kept]
        values = np.minimum(features.data[kept] / self.largest_[place], 1)
        return sp.csr_matrix((values, place, ends), (features.shape[0], len(self.columns_)))
