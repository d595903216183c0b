"""The low-rank model: its gradient, its accuracy, and the effect of its seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import log_expit, log_softmax, softmax

from shelfmark.models.boosted.low_rank import LowRankLinear, LowRankTrainer

CLASSES = 3
SMALL = {"size": 8, "epochs": 30, "batch": 16, "learning_rate": 0.2, "label_rate": 0.02}


def task(rows: int = 150) -> tuple[sp.csr_matrix, Any]:
    """Return rows whose first terms determine the class, and the next two what is listed."""
    rng = np.random.default_rng(2)
    targets = np.arange(rows) % CLASSES
    listed = rng.integers(0, 2, (rows, 2))
    noise = rng.uniform(size=(rows, 20)) / 2 * (rng.uniform(size=(rows, 20)) < 0.3)
    features = np.hstack([np.eye(CLASSES)[targets], listed, noise]).astype(np.float32)
    indicator = np.hstack([np.eye(CLASSES)[targets], listed]).astype(np.uint8)
    return sp.csr_matrix(features), indicator


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
    truth = task()[1][:6]
    trainer = LowRankTrainer(LowRankLinear(listed_weight=0.4), 1, 5, CLASSES)
    wanted = differences(lambda: loss(scores, truth, 0.4), scores)
    np.testing.assert_allclose(trainer._slope(scores, truth), wanted, atol=1e-7)


def test_scores_far_out_overflow_nothing() -> None:
    scores = np.array([[1e4, -1e4, 0, 1e4, -1e4]], np.float32)
    trainer = LowRankTrainer(LowRankLinear(listed_weight=1.0), 1, 5, CLASSES)
    slope = trainer._slope(scores, np.array([[1, 0, 0, 0, 1]]))
    assert slope.tolist() == [[0, 0, 0, 1, -1]]


def test_a_step_goes_down_the_gradient_of_the_terms() -> None:
    features, indicator = task(12)
    once: dict[str, Any] = {"size": 4, "epochs": 1, "batch": 12, "dropout": 0.0}
    start = LowRankLinear(**once, learning_rate=0, label_rate=0).fit(features, indicator, CLASSES)
    after = LowRankLinear(**once, learning_rate=0.01).fit(features, indicator, CLASSES)
    terms, labels = start.terms_.astype(float), start.labels_.astype(float)
    slope = differences(
        lambda: loss(features @ terms @ labels, indicator, start.listed_weight), terms
    )
    # The first step of AdaGrad is the gradient over its own size, at the full rate.
    size = np.sqrt((slope**2).mean(axis=1, keepdims=True))
    np.testing.assert_allclose(after.terms_ - terms, -0.01 * slope / size, atol=4e-5)


def test_it_learns_a_task_that_words_tell_apart() -> None:
    features, indicator = task()
    known, held = slice(100), slice(100, None)
    model = LowRankLinear(**SMALL).fit(features[known], indicator[known], CLASSES)
    scores = model.decision_function(features[held])
    assert scores.dtype == np.float32
    truth = indicator[held]
    assert (scores[:, :CLASSES].argmax(axis=1) == truth[:, :CLASSES].argmax(axis=1)).all()
    assert ((scores[:, CLASSES:] > 0) == truth[:, CLASSES:]).mean() > 0.9


def test_the_seed_alone_settles_chance() -> None:
    features, indicator = task()
    first, second, other = (
        LowRankLinear(**SMALL, random_state=seed).fit(features, indicator, CLASSES).terms_.tobytes()
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_cross_lists_of_a_rare_class_help_it() -> None:
    # Half of the rare class's words stand in papers of its own, all in papers listed under it.
    rng = np.random.default_rng(2)
    words = np.eye(42, dtype=np.float32)
    common, listed = np.repeat([0, 1], 100), np.arange(200) % 2
    others = words[common] + listed[:, None] * words[rng.integers(2, 42, 200)]
    known, unseen = sp.csr_matrix(np.vstack([others, words[2:22]])), sp.csr_matrix(words[22:])
    classes = np.eye(CLASSES, dtype=np.uint8)[[*common, *[2] * 20]]
    member = np.array([[*listed, *[1] * 20]], np.uint8).T
    model = LowRankLinear(**{**SMALL, "size": 4}, listed_weight=1.0)
    informed, uninformed = (
        softmax(model.fit(known, indicator, CLASSES).decision_function(unseen)[:, :CLASSES], 1)
        for indicator in (np.hstack([classes, member]), classes)
    )
    assert informed[:, 2].mean() > 1.5 * uninformed[:, 2].mean()


def test_a_score_is_the_sum_of_its_words_and_the_intercept() -> None:
    features, indicator = task()
    model = LowRankLinear(**SMALL).fit(features, indicator, CLASSES)
    for row in (0, 7, 31):
        total = model.parts(features[row]).sum(axis=0) + model.intercept_
        wanted = model.decision_function(features[row])[0]
        np.testing.assert_allclose(total, wanted, atol=1e-5)


def test_a_label_or_a_term_that_no_paper_has_breaks_nothing() -> None:
    features, indicator = task()
    empty = sp.csr_matrix((features.shape[0], 1), dtype=np.float32)
    absent = np.insert(indicator, [1, 5], 0, axis=1)
    model = LowRankLinear(**SMALL).fit(sp.hstack([empty, features]).tocsr(), absent, CLASSES + 1)
    scores = model.decision_function(sp.hstack([empty, features]).tocsr())
    assert np.isfinite(scores).all()
    assert not (scores[:, : CLASSES + 1].argmax(axis=1) == 1).any()
    assert (scores[:, -1] < 0).all()
