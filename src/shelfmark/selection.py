"""The terms that tell the classes apart, chosen once."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectKBest, SelectorMixin, chi2


class ChosenTerms(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the `k` features on which the classes differ most, by chi2.

    What scikit-learn's `SelectKBest` keeps; but that sorts the scores of all features anew at each
    `transform`, which takes longer than all else that is done for a paper.
    """

    def __init__(self, k: int = 1000) -> None:
        self.k = k

    def fit(self, features: sp.csr_matrix, targets: np.ndarray[Any, Any]) -> ChosenTerms:
        """Choose the features."""
        self.n_features_in_ = features.shape[1]
        self.support_ = SelectKBest(chi2, k=self.k).fit(features, targets).get_support()
        return self

    def _get_support_mask(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        chosen: np.ndarray[Any, np.dtype[np.bool_]] = self.support_
        return chosen
