"""The features: fitted on train alone, sparse all the way, without stored zeros."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from shelfmark.config.load import load_config
from shelfmark.core import checkpoint
from shelfmark.data.splits import TableGroups
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import features
from shelfmark.models.boosted.features import ChosenTerms
from shelfmark.models.boosted.fitting.joined import fit_joined
from shelfmark.models.boosted.fitting.rows import MatrixRows, PaperLabels
from shelfmark.models.boosted.fitting.vocabulary import fit_fields
from shelfmark.models.boosted.stacking import CrossFittedScores

TEXTS = ["robot arm grasp", "robot walks far", "galaxy dust halo", "galaxy halo robot"] * 5
TITLED = ["A robot\nrobot arm grasp", "Walking\nrobot walks far", "galaxy dust halo"] * 5
LABELS = np.array([0, 0, 1, 1] * 5)
BASE = ("model=xgboost", "features.min_df=1", "features.max_df=1.0")


def fit(*overrides: str, texts: list[str] = TEXTS) -> tuple[features.Steps, sp.csr_matrix]:
    settings = load_config([*BASE, *overrides])
    stack, targets = None, LABELS[: len(texts)]
    if settings.model.stack is not None:
        stack = CrossFittedScores(features.scorers(settings.model.stack, 0), classes=2, folds=3)
    papers = TableGroups(pa.table({"text": texts}))
    labels = PaperLabels.of_indicator(np.eye(2, dtype=np.uint8)[targets], 2)
    with checkpoint.temporary_checkpoint() as stages:
        fields = fit_fields(settings.features, papers, labels, stages)
    rows = MatrixRows(fields.transform(texts), labels)
    with checkpoint.temporary_checkpoint() as stages:
        joined = fit_joined(settings.features.chosen_terms, stack, rows, stages)
    return [("words", fields), ("joined", joined.union)], joined.features


def names(steps: features.Steps) -> list[str]:
    """Return the terms among the features."""
    chosen = dict(steps[1][1].transformer_list)["terms"]
    return features.term_names(steps, chosen.columns_)


def every_term(steps: features.Steps) -> list[str]:
    return features.term_names(steps, np.arange(steps[0][1].terms))


@pytest.mark.parametrize("texts", [TEXTS, TITLED])
@pytest.mark.parametrize("weight", ["0.3", "null"])
def test_fit_and_transform_give_the_same_features(texts: list[str], weight: str) -> None:
    steps, fitted = fit(f"features.title_weight={weight}", texts=texts)
    again = features.transform(steps, texts)
    assert isinstance(again, sp.csr_matrix)
    assert again.dtype == np.float32
    assert (fitted != again).nnz == 0


def test_no_zero_is_stored() -> None:
    matrix = sp.csr_matrix((np.array([1.0, 0.0]), ([0, 1], [0, 1])), shape=(2, 2))
    assert features.sparse(matrix).nnz == 1
    assert features.sparse(np.array([[0.0, 2.0]])).nnz == 1


def test_the_chosen_terms_are_those_that_tell_the_classes_apart() -> None:
    steps, fitted = fit("features.chosen_terms=2", "features.ngram_range=[1,1]")
    assert fitted.shape == (len(TEXTS), 2)
    assert set(names(steps)) == {"galaxy", "halo"}


def test_fewer_terms_than_may_be_chosen_are_all_kept() -> None:
    steps, fitted = fit("features.chosen_terms=5000")
    assert len(names(steps)) == fitted.shape[1]
    assert names(steps) == every_term(steps)


def test_words_of_other_splits_are_unknown() -> None:
    steps, _ = fit()
    assert features.transform(steps, ["entirely unseen words"]).nnz == 0


def test_a_vectorizer_without_terms_names_the_settings() -> None:
    with pytest.raises(ShelfmarkError, match="features: .*lower min_df or raise max_df"):
        fit("features.min_df=100")


def test_a_short_text_has_no_larger_values_than_training_had() -> None:
    steps, fitted = fit()
    assert fitted.max() == 1.0
    assert features.transform(steps, ["robot"]).max() == 1.0


def test_titles_are_what_stands_before_the_end_of_a_line() -> None:
    assert features.titles(["Of ants\nAnts are", "no title", "\nalone", ""]) == [
        "Of ants",
        "",
        "",
        "",
    ]


def test_titles_are_a_field_of_their_own_behind_the_text_with_their_weight() -> None:
    settings = load_config([*BASE, "features.title_weight=0.3"]).features
    labels = PaperLabels.of_indicator(np.eye(2, dtype=np.uint8)[LABELS[: len(TITLED)]], 2)
    with checkpoint.temporary_checkpoint() as stages:
        fields = fit_fields(settings, TableGroups(pa.table({"text": TITLED})), labels, stages)
    words = fields.transform(TITLED)
    terms = every_term([("words", fields)])
    alone: Any = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    wanted = alone.fit_transform(features.titles(TITLED)).toarray() * np.float32(0.3)
    count = wanted.shape[1]
    assert terms[-count:] == alone.get_feature_names_out().tolist() == ["robot", "walking"]
    np.testing.assert_allclose(words[:, -count:].toarray(), wanted, rtol=1e-6)


def test_without_a_title_anywhere_there_is_no_such_field(log: Callable[[], str]) -> None:
    steps, fitted = fit()
    assert "the titles hold no term of their own" in log()
    assert [name for name, _ in steps[0][1].transformer_list] == ["text"]
    assert fitted.shape[1] == fit("features.title_weight=null")[1].shape[1]
    # A title that comes later is read with the rest.
    assert features.transform(steps, ["robot\narm"]).nnz == 3


def test_a_stack_puts_its_scores_before_the_terms() -> None:
    steps, fitted = fit("model=stacked", "features.chosen_terms=3")
    assert fitted.shape[1] == 2 * 2 + 3
    scores = features.transform(steps, ["robot grasp", "galaxy halo"])[:, :4].toarray()
    assert (scores.reshape(2, 2, 2).argmax(axis=2) == [[0, 0], [1, 1]]).all()
    alone, _ = fit("model=stacked", "features.chosen_terms=0")
    np.testing.assert_array_equal(
        features.transform(alone, ["robot grasp", "galaxy halo"]).toarray(), scores
    )


def test_the_embedding_leads_then_the_svm_then_bayes() -> None:
    every = ["model=reranked", "model.stack.scorers.svm={C:0.5}"]
    stack = load_config(every).model.stack
    assert stack is not None
    made = features.scorers(stack, 11)
    assert [name for name, _ in made] == ["low_rank", "svm", "bayes"]
    settled: list[dict[str, Any]] = [scorer.get_params() for _, scorer in made]
    assert settled[0]["random_state"] == settled[1]["random_state"] == 11
    assert settled[0]["size"] == stack.scorers.low_rank.size
    assert (settled[1]["C"], settled[2]["alpha"]) == (0.5, stack.scorers.bayes.alpha)


def test_chosen_terms_and_values_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    counts = rng.poisson(0.3, (80, 60)).astype(np.float32)
    counts[:, 7] = 0  # its chi2 is NaN
    features = sp.csr_matrix(counts)
    targets = rng.integers(0, 3, 80)
    larger = features * np.float32(1.5)
    for k in (1, 20, 60):
        select, bound = SelectKBest(chi2, k=k), MaxAbsScaler(clip=True)
        want = make_pipeline(select, bound).fit(features, targets)
        got = ChosenTerms(k).fit(features, targets)
        assert got.columns_.tolist() == select.get_support(indices=True).tolist()
        for some in (features, larger, features[:1]):
            result = got.transform(some)
            assert (result.shape, result.dtype) == ((some.shape[0], k), np.float32)
            np.testing.assert_allclose(result.toarray(), want.transform(some).toarray(), rtol=1e-6)
