"""The classifiers: margins that learn, and contributions that add up to them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import xgboost
from scipy.special import logsumexp, softmax

from shelfmark.config.load import load_config
from shelfmark.core import checkpoint
from shelfmark.models.boosted import heads
from shelfmark.models.boosted.boosting import BoostingRun, grow
from shelfmark.models.boosted.heads import Head, LinearHead, RerankerHead, TreeHead, _Choice
from tests.support.boosters import open_by_xgboost
from tests.support.tables import SETTINGS, silent

MANY = 20


def sparse_task(classes: int, rows: int = 200) -> tuple[sp.csr_matrix, Any]:
    """Return sparse features of which each class has an informative one, most of the time."""
    rng = np.random.default_rng(classes)
    targets = np.arange(rows) % classes
    features = rng.uniform(size=(rows, 9)) * (rng.uniform(size=(rows, 9)) < 0.3)
    features[np.arange(rows), targets] += rng.uniform(size=rows) < 0.9
    return sp.csr_matrix(features.astype(np.float32)), targets


def two_blocks(rows: int = 400) -> tuple[sp.csr_matrix, Any]:
    """Return scores of many classes by a scorer that guesses and by one that knows.

    The first's guess is mostly among its best, so that there is something to find. Between the
    blocks stands the score of one listed category.
    """
    rng = np.random.default_rng(1)
    targets = rng.integers(0, MANY, rows)
    truth = np.eye(MANY)[targets]
    first = rng.normal(size=(rows, MANY)) + 1.5 * truth
    second = rng.normal(size=(rows, MANY)) + 9 * truth
    listed = rng.normal(size=(rows, 1))
    return sp.csr_matrix(np.hstack([first, listed, second]).astype(np.float32)), targets


def reranker(candidates: int = 5) -> RerankerHead:
    """Return one of which class 3 is listed too, in the column behind the first scores."""
    listed = [MANY if number == 3 else -1 for number in range(MANY)]
    groups = [number // 4 for number in range(MANY)]
    return RerankerHead(MANY, candidates, [0, MANY + 1], listed, groups)


def fitted(classifier: Head, task: tuple[sp.csr_matrix, Any]) -> Any:
    features, targets = task
    half = len(targets) // 2
    settings = load_config(["model=xgboost", *SETTINGS, "model.rounds=20"])
    with checkpoint.temporary_checkpoint() as stages:
        return classifier.fit(
            (features[:half], targets[:half]),
            (features[half:], targets[half:]),
            partial(grow, BoostingRun(settings.model, 0, stages, silent)),
        )


def opened(head: Any) -> xgboost.Booster:
    return open_by_xgboost(head.booster_.content)


def dense(features: sp.csr_matrix, row: int) -> Any:
    """Return the features of one paper, 0 where none is stored."""
    return features[row].toarray()[0]


def accuracy(margins: Any, targets: Any) -> float:
    return float((margins.argmax(axis=1) == targets).mean())


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_trees_learn_and_their_softmax_is_that_of_xgboost(classes: int) -> None:
    task = features, targets = sparse_task(classes)
    trees = fitted(TreeHead(classes), task)
    margins = trees.margins(features)
    assert (margins.dtype, margins.shape) == (np.float32, (len(targets), classes))
    assert accuracy(margins[100:], targets[100:]) > 0.8
    said = opened(trees).inplace_predict(features)
    if classes == 2:
        said = np.stack([1 - said, said], axis=1)
    np.testing.assert_allclose(softmax(margins, axis=1), said, atol=1e-5)


def test_the_first_scores_are_the_margins_of_the_linear_classifier() -> None:
    task = features, _ = two_blocks(6)
    linear = fitted(LinearHead(MANY), task)
    np.testing.assert_array_equal(linear.margins(features), features[:, :MANY].toarray())


def test_another_look_at_the_candidates_is_better_than_the_first_scorer() -> None:
    task = features, targets = two_blocks()
    unseen, truth = features[200:], targets[200:]
    first = accuracy(unseen[:, :MANY].toarray(), truth)
    again = accuracy(fitted(reranker(), task).margins(unseen), truth)
    among = np.argsort(-unseen[:, :MANY].toarray(), axis=1)[:, :5] == truth[:, None]
    assert again > first + 0.2
    assert again > 0.95 * among.any(axis=1).mean(), "of those that are among the candidates"


def test_candidates_share_their_probability_and_the_other_classes_keep_theirs() -> None:
    task = features, _ = two_blocks()
    before = softmax(features[:, :MANY].toarray(), axis=1)
    margins = fitted(reranker(), task).margins(features)
    after = np.exp(margins)
    np.testing.assert_allclose(logsumexp(margins, axis=1), 0, atol=1e-5)
    order = np.argsort(-before, axis=1)
    best, rest = order[:, :5], order[:, 5:]
    old, new = (np.take_along_axis(shares, rest, 1) for shares in (before, after))
    np.testing.assert_allclose(new, old, rtol=1e-4)
    old, new = (np.take_along_axis(shares, best, 1) for shares in (before, after))
    np.testing.assert_allclose(new.sum(axis=1), old.sum(axis=1), rtol=1e-4)
    assert abs(new - old).max() > 0.1


@pytest.mark.parametrize("candidates", [2, MANY, MANY + 7])
def test_any_number_of_candidates_will_do(candidates: int) -> None:
    task = features, targets = two_blocks()
    margins = fitted(reranker(candidates), task).margins(features)
    assert margins.shape == (len(targets), MANY)
    assert np.isfinite(margins).all()
    first = accuracy(features[:, :MANY].toarray(), targets)
    assert accuracy(margins, targets) > first
    if candidates >= MANY:
        assert accuracy(margins[200:], targets[200:]) > 0.95


def test_papers_are_ranked_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    task = features, targets = two_blocks()
    whole = fitted(reranker(), task)
    margins = whole.margins(features)
    monkeypatch.setattr(heads, "BLOCK", 37)
    np.testing.assert_allclose(whole.margins(features), margins, atol=1e-5)
    apart = fitted(reranker(), task)
    assert apart.rounds == whole.rounds == opened(whole).num_boosted_rounds()
    np.testing.assert_allclose(apart.margins(features), margins, atol=1e-4)
    rows, right = whole._rows(features, targets)
    assert len(rows) == len(right) == 5 * right.sum()


def test_without_a_listed_class_there_is_nothing_to_read_of_them() -> None:
    task = features, targets = two_blocks()
    alone = RerankerHead(MANY, 5, [0, MANY + 1], [-1] * MANY, [0] * MANY)
    assert accuracy(fitted(alone, task).margins(features), targets) > 0.7


def test_the_slope_of_a_choice_among_candidates_is_that_of_its_loss() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(size=12)
    labels = np.eye(4)[[2, 0, 3]].ravel()  # three papers of four candidates
    data = xgboost.DMatrix(np.zeros((12, 1)), labels)
    choice = _Choice(4)
    shifts = np.eye(12) * 1e-5
    wanted = [
        (choice.loss(margins + x, data)[1] - choice.loss(margins - x, data)[1]) / 2e-5
        for x in shifts
    ]
    gradient, hessian = choice.slope(margins, data)
    np.testing.assert_allclose(gradient, np.array(wanted) * 3, atol=1e-6)
    share = softmax(margins.reshape(3, 4), axis=1).ravel()
    np.testing.assert_allclose(hessian, share * (1 - share), atol=1e-7)
    assert choice.loss(margins, data)[1] == pytest.approx(-np.log(share[[2, 4, 11]]).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_contributions_to_trees_add_up_to_the_margin(classes: int) -> None:
    task = features, _ = sparse_task(classes)
    trees = fitted(TreeHead(classes), task)
    for row, number, margin in cells(trees, features):
        made = trees.contributions(dense(features, row), number, np.zeros(0), np.zeros(0))
        assert made.slopes.shape == (0,)
        assert made.terms.shape == (features.shape[1],)
        assert made.margin == pytest.approx(margin, abs=1e-4)
        # The part without features is the same for all papers.
        expected = opened(trees).predict(xgboost.DMatrix(features[row]), pred_contribs=True)[0]
        bias = expected[-1] * (number - 0.5) if classes == 2 else expected[number, -1]
        assert made.terms.sum() + bias == pytest.approx(margin, abs=1e-4)


def test_a_score_near_its_mean_has_no_slope_and_any_other_its_share() -> None:
    task = features, _ = sparse_task(3)
    trees = fitted(TreeHead(3), task)
    rows = features.toarray()
    means, deviations = rows[0, :4], rows[:, :4].std(axis=0)
    shares = opened(trees).predict(xgboost.DMatrix(features), pred_contribs=True)
    still = 0
    for row, number, _ in cells(trees, features):
        made = trees.contributions(rows[row], number, means, deviations)
        moved = rows[row, :4] - means
        near = np.abs(moved) <= 0.2 * deviations
        still += near.sum()
        wanted = np.where(near, 0, shares[row, number, :4])
        np.testing.assert_allclose(made.slopes * moved, wanted, atol=1e-5)
        np.testing.assert_allclose(made.terms, shares[row, number, 4:-1], atol=1e-5)
    assert 4 * 3 <= still < 5 * 4 * 3


def test_contributions_to_the_linear_classifier_add_up_to_the_score() -> None:
    features, _ = two_blocks(8)
    linear, width = LinearHead(MANY), features.shape[1]
    for row, number, margin in cells(linear, features):
        paper = dense(features, row)
        made = linear.contributions(paper, number, np.zeros(width), np.zeros(width))
        assert made.margin == margin
        assert paper @ made.slopes == margin


def test_contributions_to_the_reranker_add_up_to_the_trees_margin_or_to_the_score() -> None:
    task = features, _ = two_blocks()
    model = fitted(reranker(), task)
    means = np.asarray(features.mean(axis=0)).ravel()
    scores = features[:, :MANY].toarray()
    for row in range(5):
        best = set(np.argsort(-scores[row])[:5])
        margins = model.margins(features[row])[0]
        made = [model.contributions(dense(features, row), x, means, means) for x in range(MANY)]
        said = [one.margin for one in made]
        for number in set(range(MANY)) - best:
            assert said[number] == pytest.approx(scores[row, number], abs=1e-4)
            assert made[number].slopes.argmax() == number
        for number in best:
            # What all candidates share pushes none of them; its own score pushes towards it.
            assert made[number].slopes.sum() == pytest.approx(0, abs=1e-5)
            assert made[number].slopes[number] > 0
        # The margins of candidates differ from those of the trees by one and the same number.
        apart = [said[number] - margins[number] for number in best]
        np.testing.assert_allclose(apart, apart[0], atol=1e-4)


def cells(classifier: Any, features: sp.csr_matrix) -> Iterator[tuple[int, int, float]]:
    """Yield the margin of each class of some papers."""
    for row, margins in enumerate(classifier.margins(features)[:5]):
        for number, margin in enumerate(margins):
            yield row, number, margin
