"""The features: fitted on train alone, sparse all the way, without stored zeros."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from shelfmark import config, features
from shelfmark.errors import ShelfmarkError

TEXTS = ["robot arm grasp", "robot walks far", "galaxy dust halo", "galaxy halo robot"] * 5
LABELS = np.array([0, 0, 1, 1] * 5)


def fit(*overrides: str) -> tuple[features.Steps, sp.csr_matrix]:
    base = ["model=xgboost", "features.min_df=1", "features.max_df=1.0"]
    loaded = config.load([*base, *overrides])
    return features.fit(loaded.features, loaded.model.stack, loaded.seed, TEXTS, LABELS)


def test_fit_and_transform_give_the_same_features() -> None:
    steps, fitted = fit()
    again = features.transform(steps, TEXTS)
    assert isinstance(again, sp.csr_matrix)
    assert again.dtype == np.float32
    assert (fitted != again).nnz == 0


def test_no_zero_is_stored() -> None:
    matrix = sp.csr_matrix((np.array([1.0, 0.0]), ([0, 1], [0, 1])), shape=(2, 2))
    assert features.sparse(matrix).nnz == 1


def test_the_chosen_terms_are_those_that_tell_the_classes_apart() -> None:
    steps, fitted = fit("features.chosen_terms=2", "features.ngram_range=[1,1]")
    assert fitted.shape == (len(TEXTS), 2)
    assert set(features.names(steps)) == {"galaxy", "halo"}


def test_fewer_terms_than_may_be_chosen_are_all_kept() -> None:
    steps, fitted = fit("features.chosen_terms=5000")
    assert len(features.names(steps)) == fitted.shape[1]
    assert set(steps[0][1].get_feature_names_out()) == set(features.names(steps))


def test_words_of_other_splits_are_unknown() -> None:
    steps, _ = fit()
    assert features.transform(steps, ["entirely unseen words"]).nnz == 0


def test_no_term_left_says_which_settings() -> None:
    with pytest.raises(ShelfmarkError, match="features: .*lower min_df or raise max_df"):
        fit("features.min_df=100")


def test_a_short_text_has_no_larger_values_than_training_had() -> None:
    steps, fitted = fit()
    assert fitted.max() == 1.0
    assert features.transform(steps, ["robot"]).max() == 1.0


def test_a_stack_puts_one_margin_a_class_before_the_terms() -> None:
    steps, fitted = fit("model=stacked")
    plain = fit()[1]
    assert fitted.shape[1] == plain.shape[1] + 1  # two classes share one margin
    assert features.names(steps)[0] == "linear margin 0"
    margins = features.transform(steps, ["robot grasp", "galaxy halo"])[:, [0]].toarray().ravel()
    assert margins[0] < 0 < margins[1]
