"""Trees that NumPy walks have the margins of XGBoost, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shelfmark.models.boosted.booster_file import compiled
from shelfmark.models.boosted.booster_file.compiled import CompiledTrees
from shelfmark.models.boosted.booster_file.opening import Ensemble, read_booster
from shelfmark.models.boosted.booster_file.trees import LEAF
from tests.support import boosters
from tests.support.boosters import FEATURES, KINDS, ROUNDS, content, open_by_xgboost

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -3.4e38, 3.4e38], np.float32)


def read(kind: str, altered: bytes | None = None) -> Ensemble:
    return read_booster(altered or content(kind), FEATURES, KINDS[kind][1])


def awkward_rows(ensemble: Ensemble, count: int) -> Any:
    """Return rows of the limits of the trees, their neighbours, missing and special values."""
    rng = np.random.default_rng(count)
    trees = ensemble.trees
    rows = rng.choice([*SPECIAL, *[np.nan] * len(SPECIAL)], (count, FEATURES)).astype(np.float32)
    for column in range(FEATURES):
        splits = (trees.left_children != LEAF) & (trees.split_indices == column)
        limits = trees.split_conditions[splits]
        near = [limits, np.nextafter(limits, SPECIAL[1]), np.nextafter(limits, SPECIAL[2])]
        some = rng.random(count) < 0.6
        if len(limits):
            rows[some, column] = rng.choice(np.concatenate(near), some.sum())
    return rows


def by_xgboost(altered: bytes, rows: Any) -> Any:
    given = open_by_xgboost(altered).inplace_predict(rows, predict_type="margin")
    return given.reshape(len(rows), -1)


@pytest.mark.parametrize("count", [1, 2, 500])
@pytest.mark.parametrize("kind", KINDS)
def test_margins_are_those_of_xgboost_to_the_last_bit(kind: str, count: int) -> None:
    ensemble = read(kind)
    rows = awkward_rows(ensemble, count)
    trees = CompiledTrees.of(ensemble)
    margins = trees.predict(rows)
    wanted = by_xgboost(content(kind), rows)
    assert (margins.dtype, margins.shape) == (np.float32, wanted.shape)
    assert np.isfinite(margins).all()
    assert margins.tobytes() == wanted.tobytes()
    assert trees.rounds == ROUNDS


def test_the_kinds_send_missing_values_to_both_sides_and_are_as_deep_as_they_may_be() -> None:
    sides, depths = set(), set()
    for kind in KINDS:
        ensemble = read(kind)
        splits = ensemble.trees.left_children != LEAF
        sides |= set(ensemble.trees.default_left[splits].tolist())
        depths.add(CompiledTrees.of(ensemble).levels)
    assert sides == {0, 1}
    assert {0, 1, 4} < depths
    assert max(depths) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_depends_on_the_others(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = read(kind)
    rows, trees = awkward_rows(ensemble, 300), CompiledTrees.of(ensemble)
    whole = trees.predict(rows)
    order = np.random.default_rng(0).permutation(len(rows))
    assert trees.predict(rows[order]).tobytes() == whole[order].tobytes()
    for together in (1, 3 * len(trees.roots), 1 << 30):
        monkeypatch.setattr(compiled, "TOGETHER", together)
        assert trees.predict(rows).tobytes() == whole.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_of_no_rows_there_are_no_margins(kind: str) -> None:
    ensemble = read(kind)
    rows = np.zeros((0, FEATURES), np.float32)
    assert CompiledTrees.of(ensemble).predict(rows).shape == (0, len(ensemble.base))


@pytest.mark.parametrize("depth", range(1, 13))
def test_trees_of_any_depth_give_the_margins_of_xgboost(
    depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, classes, changes = KINDS["deep"]
    kind = f"of depth {depth}"
    monkeypatch.setitem(KINDS, kind, (objective, classes, changes | {"max_depth": depth}))
    ensemble = read(kind)
    rows = awkward_rows(ensemble, 200)
    margins = CompiledTrees.of(ensemble).predict(rows)
    assert margins.tobytes() == by_xgboost(content(kind), rows).tobytes()


def of_base_score(score: np.float32) -> bytes:
    """Return the file of a booster of two classes whose trees add nothing to its base score."""
    values = boosters.model("one leaf")
    learner = values["learner"]
    mantissa, exponent = np.format_float_scientific(score, trim="-").split("e")
    learner["learner_model_param"]["base_score"] = f"[{mantissa}E{int(exponent)}]"
    for tree in learner["gradient_booster"]["model"]["trees"]:
        tree["split_conditions"] = [0.0]
    return boosters.encode(values)


def test_the_base_score_of_two_classes_becomes_the_margin_of_xgboost() -> None:
    rng = np.random.default_rng(0)
    near = [10.0**-exponent for exponent in range(1, 9)]
    scores = [0.5, *near, *(1 - one for one in near[:7]), *rng.uniform(size=100)]
    row = np.zeros((1, FEATURES), np.float32)
    same = []
    for score in map(np.float32, scores):
        margin = CompiledTrees.of(read("one leaf", of_base_score(score))).predict(row)[0, 0]
        wanted = by_xgboost(of_base_score(score), row)[0, 0]
        assert abs(margin - wanted) <= np.spacing(np.abs(wanted))
        same.append(margin == wanted)
    assert np.mean(same) > 0.95, "two libraries round a logarithm alike, but for a few"
    assert same[0], "without a base score of its own a booster has 0.5"
