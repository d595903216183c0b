"""The features: fitted on train alone, sparse all the way, without stored zeros."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from shelfmark import config, features
from shelfmark.errors import ShelfmarkError

TEXTS = ["robot arm grasp", "robot walks far", "galaxy dust halo", "galaxy halo robot"] * 5
LABELS = np.array([0, 0, 1, 1] * 5)


def settings(*overrides: str) -> config.FeaturesConfig:
    return config.load(["features.min_df=1", "features.max_df=1.0", *overrides]).features


def test_fit_and_transform_give_the_same_features() -> None:
    steps, fitted = features.fit(settings(), TEXTS, LABELS)
    again = features.transform(steps, TEXTS)
    assert isinstance(again, sp.csr_matrix)
    assert again.dtype == np.float32
    assert (fitted != again).nnz == 0


def test_no_zero_is_stored() -> None:
    matrix = sp.csr_matrix((np.array([1.0, 0.0]), ([0, 1], [0, 1])), shape=(2, 2))
    assert features.sparse(matrix).nnz == 1


def test_the_chosen_terms_are_those_that_tell_the_classes_apart() -> None:
    steps, fitted = features.fit(
        settings("features.chosen_terms=2", "features.ngram_range=[1,1]"), TEXTS, LABELS
    )
    assert fitted.shape == (len(TEXTS), 2)
    assert set(features.terms(steps)) == {"galaxy", "halo"}


def test_fewer_terms_than_may_be_chosen_are_all_kept() -> None:
    steps, fitted = features.fit(settings("features.chosen_terms=5000"), TEXTS, LABELS)
    assert [name for name, _ in steps] == ["tfidf", "bounded"]
    assert len(features.terms(steps)) == fitted.shape[1]


def test_words_of_other_splits_are_unknown() -> None:
    steps, _ = features.fit(settings(), TEXTS, LABELS)
    assert features.transform(steps, ["entirely unseen words"]).nnz == 0


def test_no_term_left_says_which_settings() -> None:
    with pytest.raises(ShelfmarkError, match="features: .*lower min_df or raise max_df"):
        features.fit(settings("features.min_df=100"), TEXTS, LABELS)


def test_a_short_text_has_no_larger_values_than_training_had() -> None:
    steps, fitted = features.fit(settings(), TEXTS, LABELS)
    assert fitted.max() == 1.0
    assert features.transform(steps, ["robot"]).max() == 1.0
