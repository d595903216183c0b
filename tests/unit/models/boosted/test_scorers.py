"""The scorers: scikit-learn's models column by column, and sums over the words of a paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from shelfmark.models.boosted import scorers
from shelfmark.models.boosted.fitting.rows import Block, MatrixRows, PaperLabels
from shelfmark.models.boosted.scorers import TOLERANCE, Bayes, Scorer, Svm
from tests.support.sparse_rows import row_of

CLASSES = 3


class Blocks(MatrixRows):
    """Rows in blocks of seven papers."""

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Block]:
        for begin in range(0, self.shape[0], 7):
            papers = np.arange(begin, min(begin + 7, self.shape[0]))
            yield Block(papers, self.features[papers])


def task(rows: int = 60, terms: int = 12) -> tuple[sp.csr_matrix, Any]:
    """Return sparse counts, and an indicator of three classes and two listed categories."""
    rng = np.random.default_rng(4)
    features = sp.csr_matrix(rng.poisson(0.7, (rows, terms)).astype(np.float32))
    classes = np.eye(CLASSES, dtype=np.uint8)[features[:, :CLASSES].toarray().argmax(axis=1)]
    listed = (features[:, 3:5].toarray() > 0).astype(np.uint8)
    return features, np.hstack([classes, listed])


def test_the_svm_is_that_of_scikit_learn_column_by_column() -> None:
    features, indicator = task()
    scores = Svm(C=0.4, random_state=3).fit(features, indicator, CLASSES)
    made = scores.decision_function(features)
    assert made.dtype == np.float32
    for column in range(5):
        machine = LinearSVC(C=0.4, tol=TOLERANCE, random_state=3, dual=True)
        alone = machine.fit(features, indicator[:, column])
        wanted = alone.decision_function(features)
        np.testing.assert_allclose(made[:, column], wanted, rtol=1e-4, atol=1e-5)


def test_a_column_of_one_value_scores_as_it_is_and_no_word_matters() -> None:
    features, indicator = task()
    indicator[:, 3], indicator[:, 4] = 1, 0
    svm = Svm().fit(features, indicator, CLASSES)
    assert (svm.decision_function(features)[:, 3:] == [1, -1]).all()
    assert not svm.parts(row_of(features, 0))[:, 3:].any()


def test_bayes_is_that_of_scikit_learn_less_the_mean_of_a_paper() -> None:
    features, indicator = task()
    alone = MultinomialNB(alpha=0.1).fit(features, indicator[:, :CLASSES].argmax(axis=1))
    wanted = alone.predict_joint_log_proba(features)
    model = Bayes(alpha=0.1).fit(features, indicator, CLASSES)
    error = np.abs(model.decision_function(features) - wanted + wanted.mean(axis=1, keepdims=True))
    # A weight in eight bits is right to half a scale.
    assert (error <= features @ (model.scales_ / 2) + 1e-4).all()
    assert error.mean() < 0.02


def test_bayes_counts_the_chosen_papers_of_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    features, indicator = task()
    labels = PaperLabels.of_indicator(indicator, CLASSES)
    chosen = np.arange(len(indicator)) % 3 > 0
    together = Bayes(alpha=0.1).fit(features[chosen], indicator[chosen], CLASSES)
    monkeypatch.setattr(scorers, "SMOOTHED", 5)
    apart = Bayes(alpha=0.1).fit_rows(Blocks(features, labels), chosen)
    for name in ("weights_", "scales_", "intercept_"):
        np.testing.assert_array_equal(getattr(apart, name), getattr(together, name))


def test_a_class_without_a_paper_never_leads_and_breaks_nothing() -> None:
    features, indicator = task()
    wider = np.insert(indicator, 1, 0, axis=1)
    for scorer in (Svm(), Bayes()):
        made = scorer.fit(features, wider, CLASSES + 1).decision_function(features)
        assert np.isfinite(made).all()
        assert not (made[:, : CLASSES + 1].argmax(axis=1) == 1).any()


@pytest.mark.parametrize("scorer", [Svm(), Bayes()])
def test_a_score_is_the_sum_of_its_words_and_the_intercept(scorer: Scorer) -> None:
    features, indicator = task()
    fitted: Any = scorer.fit(features, indicator, CLASSES)
    for row in (0, 7, 31):
        parts = fitted.parts(row_of(features, row))
        assert parts.shape == (features[row].nnz, len(fitted.intercept_))
        wanted = fitted.decision_function(features[row])[0]
        np.testing.assert_allclose(parts.sum(axis=0) + fitted.intercept_, wanted, atol=1e-5)
    empty = sp.csr_matrix((1, features.shape[1]), dtype=np.float32)
    np.testing.assert_array_equal(fitted.decision_function(empty)[0], fitted.intercept_)
    assert fitted.parts(row_of(empty, 0)).shape == (0, len(fitted.intercept_))


def test_naive_bayes_of_an_older_model_scores_by_its_floats() -> None:
    features, indicator = task()
    model = Bayes(alpha=0.1).fit(features, indicator, CLASSES)
    state = model.structure_state()
    floats = state["weights_"] * state["scales_"]
    older = {"alpha": 0.1, "weights_": floats, "intercept_": state["intercept_"]}
    Bayes.check_state(older)
    opened = Bayes.from_structure_state(older)
    wanted = features @ floats + model.intercept_
    assert opened.decision_function(features).tobytes() == wanted.tobytes()
    np.testing.assert_allclose(model.decision_function(features), wanted, atol=1e-5)
    paper = row_of(features, 2)
    np.testing.assert_allclose(model.parts(paper), opened.parts(paper), atol=1e-6)
    assert set(opened.structure_state()) == set(older)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        (None, "scales_ should be there for int8 weights_ alone"),
        (np.ones((1, 1), np.float32), "should be scales_ of shape"),
    ],
)
def test_scales_that_do_not_fit_are_refused(scales: Any, message: str) -> None:
    features, indicator = task()
    state = Bayes(alpha=0.1).fit(features, indicator, CLASSES).structure_state()
    with pytest.raises(ValueError, match=message):
        Bayes.from_structure_state(state | {"scales_": scales})
