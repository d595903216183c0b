"""What columns add to a margin: XGBoost's Shapley values, which add up to the margin."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from shelfmark.models.boosted.booster_file.compiled import CompiledTrees
from shelfmark.models.boosted.booster_file.opening import Ensemble, read_booster
from shelfmark.models.boosted.booster_file.shapley import LeafPaths
from tests.support.boosters import FEATURES, KINDS, content, dense_rows, open_by_xgboost

PAPERS = 25


def read(kind: str) -> Ensemble:
    return read_booster(content(kind), FEATURES, KINDS[kind][1])


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_are_those_of_xgboost_and_add_up_to_the_margin(kind: str) -> None:
    ensemble = read(kind)
    rows = dense_rows()[:PAPERS].copy()
    rows[0], rows[1], rows[2] = np.nan, 0, 1
    data = xgboost.DMatrix(rows)
    wanted = open_by_xgboost(content(kind)).predict(data, pred_contribs=True)
    wanted = wanted.reshape(PAPERS, len(ensemble.base), FEATURES + 1)
    margins = CompiledTrees.of(ensemble).predict(rows)
    for number in range(len(ensemble.base)):
        paths = LeafPaths.of(ensemble, number)
        given = np.array([paths.contributions(row) for row in rows])
        assert (given.dtype, given.shape) == (np.float64, (PAPERS, FEATURES + 1))
        np.testing.assert_allclose(given, wanted[:, number], atol=1e-5)
        np.testing.assert_allclose(given.sum(axis=1), margins[:, number], atol=1e-5)


def test_a_column_that_a_tree_asks_for_twice_is_one_player() -> None:
    assert LeafPaths.of(read("deep"), 0).repeats
    assert not LeafPaths.of(read("stumps"), 0).repeats


@pytest.mark.parametrize("depth", range(1, 13))
def test_contributions_to_trees_of_any_depth_are_those_of_xgboost(
    depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, classes, changes = KINDS["deep"]
    kind = f"of depth {depth}"
    monkeypatch.setitem(KINDS, kind, (objective, classes, changes | {"max_depth": depth}))
    rows = dense_rows()[:5]
    data = xgboost.DMatrix(rows)
    wanted = open_by_xgboost(content(kind)).predict(data, pred_contribs=True)
    paths = LeafPaths.of(read(kind), 2)
    given = np.array([paths.contributions(row) for row in rows])
    np.testing.assert_allclose(given, wanted[:, 2], atol=1e-5)


def test_without_splits_no_column_adds_anything() -> None:
    ensemble = read("one leaf")
    given = LeafPaths.of(ensemble, 0).contributions(dense_rows()[0])
    assert not given[:-1].any()
    margin = CompiledTrees.of(ensemble).predict(dense_rows()[:1])[0, 0]
    assert given[-1] == pytest.approx(margin, abs=1e-6)
