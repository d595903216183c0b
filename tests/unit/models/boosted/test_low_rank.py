"""The low-rank model: its accuracy, its parts, its saved state, and the effect of its seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import softmax

from shelfmark.core.checkpoint import Checkpoint
from shelfmark.models.boosted.fitting.rows import Block, MatrixRows, PaperLabels
from shelfmark.models.boosted.low_rank import (
    NEWER,
    NEWER_FITTED,
    LowRankLinear,
)
from tests.support.sparse_rows import row_of

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


@pytest.mark.parametrize(("hidden", "members"), [(None, 1), (16, 1), (16, 2)])
def test_it_learns_a_task_that_words_tell_apart(hidden: int | None, members: int) -> None:
    features, indicator = task()
    known, held = slice(100), slice(100, None)
    model = LowRankLinear(**SMALL, hidden=hidden, members=members).fit(
        features[known], indicator[known], CLASSES
    )
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


@pytest.mark.parametrize(("hidden", "members"), [(None, 1), (16, 1), (16, 3), (None, 2)])
def test_a_score_is_the_sum_of_its_words_and_the_intercept(
    hidden: int | None, members: int
) -> None:
    features, indicator = task()
    model = LowRankLinear(**SMALL, hidden=hidden, members=members).fit(features, indicator, CLASSES)
    for row in (0, 7, 31):
        total = model.parts(row_of(features, row)).sum(axis=0) + model.intercept_
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


def test_rows_of_floats_give_the_scores_of_their_quantized_values() -> None:
    features, indicator = task()
    model = LowRankLinear(**SMALL, hidden=16).fit(features, indicator, CLASSES)
    state = model.structure_state()
    assert state["scales_"] is not None
    floats = state["terms_"] * state["scales_"]
    same = LowRankLinear.from_structure_state({**state, "terms_": floats, "scales_": None})
    np.testing.assert_allclose(
        same.decision_function(features), model.decision_function(features), atol=1e-5
    )
    paper = row_of(features, 3)
    np.testing.assert_allclose(same.parts(paper), model.parts(paper), atol=1e-5)


def test_an_older_state_opens_and_scores_as_it_did() -> None:
    features, indicator = task()
    model = LowRankLinear(**SMALL).fit(features, indicator, CLASSES)
    state = model.structure_state()
    floats = state["terms_"] * state["scales_"]
    newer = NEWER + NEWER_FITTED
    older = {name: value for name, value in state.items() if name not in newer}
    older["terms_"] = floats
    LowRankLinear.check_state(older)
    opened = LowRankLinear.from_structure_state(older)
    wanted = (features @ floats) @ model.labels_ + model.intercept_
    assert opened.decision_function(features).tobytes() == wanted.tobytes()
    assert set(opened.structure_state()) == set(older)


def test_the_scores_of_several_members_are_the_means_of_theirs() -> None:
    features, indicator = task()
    model = LowRankLinear(**SMALL, hidden=16, members=2).fit(features, indicator, CLASSES)
    state = model.structure_state()
    size, means = model.size, []
    for member in range(2):
        part, units = (
            slice(member * size, (member + 1) * size),
            slice(member * 16, member * 16 + 16),
        )
        own = {
            "members": 1,
            "terms_": np.ascontiguousarray(state["terms_"][:, part]),
            "scales_": np.ascontiguousarray(state["scales_"][:, member : member + 1]),
            "labels_": 2 * state["labels_"][part],
            "hidden_": state["hidden_"][part],
            "hidden_labels_": 2 * state["hidden_labels_"][units],
        }
        means.append(LowRankLinear.from_structure_state({**state, **own}))
    first, second = (one.decision_function(features) for one in means)
    assert not np.allclose(first, second, atol=1e-2)
    np.testing.assert_allclose(model.decision_function(features), (first + second) / 2, atol=1e-5)


class StoppedRows(MatrixRows):
    """Rows that are read for some epochs, and then stop the fit."""

    left = 0

    def blocks(self, rng: np.random.Generator | None = None) -> Iterator[Block]:
        """Yield all rows as one block, as often as is left."""
        if not StoppedRows.left:
            raise KeyboardInterrupt
        StoppedRows.left -= 1
        return super().blocks(rng)


@pytest.mark.parametrize("epochs", range(6))
def test_a_fit_continues_after_any_epoch_of_any_member(epochs: int, tmp_path: Path) -> None:
    features, indicator = task()
    rows = StoppedRows(features, PaperLabels.of_indicator(indicator, CLASSES))
    settings: dict[str, Any] = {**SMALL, "epochs": 3, "hidden": 4, "members": 2}
    StoppedRows.left = 6
    whole = LowRankLinear(**settings).fit_rows(rows)
    StoppedRows.left = epochs
    with pytest.raises(KeyboardInterrupt):
        LowRankLinear(**settings).fit_rows(rows, None, Checkpoint(tmp_path))
    StoppedRows.left = 6 - epochs  # and no more
    resumed = LowRankLinear(**settings).fit_rows(rows, None, Checkpoint(tmp_path))
    for name in ("terms_", "scales_", "labels_", "intercept_", "hidden_", "hidden_labels_"):
        assert getattr(resumed, name).tobytes() == getattr(whole, name).tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scales_": None}, "scales_ should be there for int8 terms_ alone"),
        ({"scales_": np.ones((3, 1), np.float32)}, "should be scales_ of shape"),
        ({"hidden_": None}, "hidden_ should be there with a hidden layer alone"),
        ({"hidden_labels_": np.ones((2, 5), np.float32)}, "should be hidden_labels_ of shape"),
        ({"hidden": None}, "hidden_ should be there with a hidden layer alone"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    features, indicator = task()
    state = LowRankLinear(**SMALL, hidden=16).fit(features, indicator, CLASSES).structure_state()
    with pytest.raises(ValueError, match=message):
        LowRankLinear.from_structure_state(state | change)
