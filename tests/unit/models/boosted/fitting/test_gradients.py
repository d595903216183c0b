"""The gradients of a low-rank model: those of its loss, and what a step does with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import log_expit, log_softmax

from shelfmark.core.checkpoint import Checkpoint
from shelfmark.models.boosted.fitting.gradients import LowRankTrainer, TrainerSettings

CLASSES, COLUMNS, TERMS = 3, 5, 8
SETTINGS = {
    "size": 4,
    "hidden": None,
    "learning_rate": 0.01,
    "label_rate": 0.002,
    "dropout": 0.0,
    "hidden_dropout": 0.0,
    "listed_weight": 0.3,
    "seed": (0, 0),
}


def trainer_of(**settings: Any) -> LowRankTrainer:
    """Return a trainer whose settings are those above, but for some."""
    return LowRankTrainer(TrainerSettings(**{**SETTINGS, **settings}), TERMS, COLUMNS, CLASSES)


def batch(papers: int = 6) -> tuple[sp.csr_matrix, Any]:
    """Return features of some papers and their indicator."""
    rng = np.random.default_rng(2)
    dense = rng.uniform(size=(papers, TERMS)) * (rng.uniform(size=(papers, TERMS)) < 0.5)
    listed = rng.integers(0, 2, (papers, COLUMNS - CLASSES))
    indicator = np.hstack([np.eye(CLASSES)[np.arange(papers) % CLASSES], listed])
    return sp.csr_matrix(dense.astype(np.float32)), indicator.astype(np.uint8)


def loss(scores: Any, truth: Any, weight: float) -> float:
    """Return the mean loss of papers, worked out from its definition."""
    own, listed = scores[:, :CLASSES], scores[:, CLASSES:]
    classes = -(log_softmax(own, axis=1) * truth[:, :CLASSES]).sum(axis=1)
    wanted = truth[:, CLASSES:]
    others = -(wanted * log_expit(listed) + (1 - wanted) * log_expit(-listed)).sum(axis=1)
    return float((classes + weight * others).mean())


def differences(of: Any, values: Any, step: float = 1e-5) -> Any:
    """Return the gradient of a function of `values`, which it reads, by finite differences."""
    gradient = np.empty(values.shape)
    for place in np.ndindex(values.shape):
        kept = values[place]
        values[place] = kept + step
        above = of()
        values[place] = kept - step
        gradient[place] = (above - of()) / (2 * step)
        values[place] = kept
    return gradient


def test_the_slope_of_the_scores_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(scale=3, size=(6, 5))
    truth = batch()[1]
    trainer = trainer_of(listed_weight=0.4)
    wanted = differences(lambda: loss(scores, truth, 0.4), scores)
    np.testing.assert_allclose(trainer._slope(scores, truth), wanted, atol=1e-7)


def test_scores_far_out_overflow_nothing() -> None:
    scores = np.array([[1e4, -1e4, 0, 1e4, -1e4]], np.float32)
    trainer = trainer_of(listed_weight=1.0)
    slope = trainer._slope(scores, np.array([[1, 0, 0, 0, 1]]))
    assert slope.tolist() == [[0, 0, 0, 1, -1]]


def scores_of(trainer: LowRankTrainer, features: Any, terms: Any) -> Any:
    """Return the scores of papers, worked out from their definition."""
    weights, middle = trainer.weights, features @ terms
    scores = middle @ weights["labels"] + weights["intercept"]
    if "hidden" in weights:
        scores = scores + np.maximum(middle @ weights["hidden"], 0) @ weights["hidden_labels"]
    return scores


@pytest.mark.parametrize("hidden", [None, 16])
def test_a_step_goes_down_the_gradient_of_the_terms(hidden: int | None) -> None:
    features, indicator = batch()
    trainer = trainer_of(hidden=hidden)
    terms = trainer.terms.astype(float)
    slope = differences(lambda: loss(scores_of(trainer, features, terms), indicator, 0.3), terms)
    before = trainer.terms.copy()
    trainer.step(features, indicator, 1.0, np.random.default_rng(0))
    # The first step of AdaGrad is the gradient over its own size.
    size = np.sqrt((slope**2).mean(axis=1, keepdims=True))
    assert (size > 0).all()
    np.testing.assert_allclose(trainer.terms - before, -0.01 * slope / size, atol=4e-5)


@pytest.mark.parametrize("name", ["labels", "intercept", "hidden", "hidden_labels"])
def test_a_step_goes_down_the_gradient_of_every_weight(name: str) -> None:
    features, indicator = batch()
    trainer = trainer_of(hidden=3)
    values = trainer.weights[name] = trainer.weights[name].astype(float)
    slope = differences(
        lambda: loss(scores_of(trainer, features, trainer.terms), indicator, 0.3), values
    )
    before = values.copy()
    trainer.weights[name] = before.astype(np.float32)
    trainer.step(features, indicator, 1.0, np.random.default_rng(0))
    # The first step of Adam has the size of the rate, wherever there is a slope.
    moved = trainer.weights[name] - before
    clear = np.abs(slope) > 1e-4
    assert clear.any()
    np.testing.assert_allclose(moved[clear], -0.002 * np.sign(slope[clear]), atol=2e-5)


def test_terms_that_no_paper_of_a_batch_has_stay() -> None:
    features, indicator = batch()
    features = sp.hstack([features[:, :-1], sp.csr_matrix((6, 1), dtype=np.float32)]).tocsr()
    trainer = trainer_of()
    before = trainer.terms.copy()
    trainer.step(features, indicator, 1.0, np.random.default_rng(0))
    assert trainer.terms[-1].tobytes() == before[-1].tobytes()
    assert (trainer.terms[:-1] != before[:-1]).any(axis=1).all()


def test_dropped_units_and_terms_teach_nothing_and_the_rest_grow() -> None:
    features, indicator = batch(300)
    trainer = trainer_of(dropout=0.5, hidden=400, hidden_dropout=0.25)
    rng = np.random.default_rng(1)
    kept = trainer._drop_terms(features, rng)
    assert 0.4 < kept.nnz / features.nnz < 0.6
    np.testing.assert_allclose(kept.data, 2 * features[kept.nonzero()].A1, rtol=1e-6)
    gate = trainer._gate(np.ones((300, 400), np.float32), rng)
    assert 0.7 < (gate > 0).mean() < 0.8
    assert np.unique(gate).tolist() == pytest.approx([0, 4 / 3])
    assert not trainer._gate(-np.ones((3, 400), np.float32), rng).any()
    trainer.step(features, indicator, 1.0, rng)
    assert all(np.isfinite(values).all() for values in trainer.weights.values())


@pytest.mark.parametrize("hidden", [None, 16])
def test_a_saved_state_continues_to_the_same_bytes(hidden: int | None, tmp_path: Path) -> None:
    features, indicator = batch()
    settings: dict[str, Any] = {"hidden": hidden, "dropout": 0.2, "hidden_dropout": 0.2}
    first, second = trainer_of(**settings), trainer_of(**settings, seed=(0, 1))
    checkpoint = Checkpoint(tmp_path)
    for number in range(3):
        first.step(features, indicator, 1.0, np.random.default_rng(number))
    checkpoint.save("state", first.state(2))
    assert second.restore(checkpoint.load("state")) == 2
    for trainer in (first, second):
        trainer.step(features, indicator, 0.5, np.random.default_rng(3))
    assert first.terms.tobytes() == second.terms.tobytes()
    for name, values in first.weights.items():
        assert values.tobytes() == second.weights[name].tobytes()
