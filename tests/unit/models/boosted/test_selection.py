"""The terms chosen, and their values, are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from shelfmark.models.boosted.selection import ChosenTerms


def test_what_scikit_learn_chooses_is_chosen() -> None:
    chance = np.random.default_rng(5)
    counts = chance.poisson(0.3, (80, 60)).astype(np.float32)
    counts[:, 7] = 0  # a score that is no number
    features = sp.csr_matrix(counts)
    targets = chance.integers(0, 3, 80)
    larger = features * np.float32(1.5)
    for k in (1, 20, 60):
        select, bound = SelectKBest(chi2, k=k), MaxAbsScaler(clip=True)
        want = make_pipeline(select, bound).fit(features, targets)
        got = ChosenTerms(k).fit(features, targets)
        assert got.columns_.tolist() == select.get_support(indices=True).tolist()
        for some in (features, larger, features[:1]):
            found = got.transform(some)
            assert (found.shape, found.dtype) == ((some.shape[0], k), np.float32)
            np.testing.assert_allclose(found.toarray(), want.transform(some).toarray(), rtol=1e-6)
