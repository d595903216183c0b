"""The terms chosen are those that scikit-learn chooses."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.feature_selection import SelectKBest, chi2

from shelfmark.selection import ChosenTerms


def test_what_scikit_learn_chooses_is_chosen() -> None:
    chance = np.random.default_rng(5)
    counts = chance.poisson(0.3, (80, 60)).astype(np.float32)
    counts[:, 7] = 0  # a score that is no number
    features = sp.csr_matrix(counts)
    targets = chance.integers(0, 3, 80)
    names = np.array([f"t{number}" for number in range(60)], object)
    for k in (1, 20, 60):
        want, got = (s.fit(features, targets) for s in (SelectKBest(chi2, k=k), ChosenTerms(k)))
        assert (want.transform(features) != got.transform(features)).nnz == 0
        assert (want.get_feature_names_out(names) == got.get_feature_names_out(names)).all()
