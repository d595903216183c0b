"""Altered files of a booster: each is read, and predicts finite numbers, or refused in one line."""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import xgboost

from shelfmark.models.boosted.booster_file.compiled import CompiledTrees
from shelfmark.models.boosted.booster_file.opening import read_booster
from shelfmark.models.boosted.booster_file.shapley import LeafPaths
from tests.support import boosters
from tests.support.fuzzing import Mutation, mutations, read_in_children

ALTERED = 300
# By the types of the columns over nodes.
VALUES = {
    "U": [0, 1, 2, 255],
    "l": [0, 1, 2, -1, boosters.FEATURES, (1 << 31) - 1, -(1 << 31)],
    "d": [0.0, -1.0, 1e-45, 1e-30, 1e29, 1e30, 3.4e38, -3.4e38, float("nan"), float("inf")],
}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak")


def predict(kind: str, content: bytes) -> None:
    ensemble = read_booster(content, boosters.FEATURES, boosters.KINDS[kind][1])
    some = boosters.dense_rows()[:20]
    margins = CompiledTrees.of(ensemble).predict(some)
    assert np.isfinite(margins).all()
    for number in range(len(ensemble.base)):
        paths = LeafPaths.of(ensemble, number)
        assert np.isfinite(np.array([paths.contributions(row) for row in some[:2]])).all()
    booster = boosters.open_by_xgboost(content)
    given = booster.inplace_predict(some, predict_type="margin").reshape(margins.shape)
    assert given.tobytes() == margins.tobytes()
    parts = booster.predict(xgboost.DMatrix(some[:2]), pred_contribs=True)
    assert np.isfinite(parts).all()


@pytest.mark.parametrize("kind", ["several", "two", "candidates", "dropout"])
def test_an_altered_booster_is_read_or_refused_in_one_line(kind: str) -> None:
    content = boosters.content(kind)
    altered = mutations(content, seed=12, count=ALTERED)
    report = read_in_children(functools.partial(predict, kind), content, altered)
    assert report.findings == [], report.summary()
    assert report.total == ALTERED
    assert report.refused
    assert report.accepted  # the values of leaves and thresholds may be any finite numbers


@pytest.mark.parametrize("kind", ["several", "two", "candidates", "dropout"])
def test_a_booster_with_other_nodes_is_read_or_refused_in_one_line(kind: str) -> None:
    altered = other_nodes(kind, seed=12, count=ALTERED)
    report = read_in_children(functools.partial(predict, kind), boosters.content(kind), altered)
    assert report.findings == [], report.summary()
    assert report.total == ALTERED
    assert report.refused
    assert report.accepted


def other_nodes(kind: str, seed: int, count: int) -> Iterator[Mutation]:
    """Yield files in the right form, of which some nodes have other values."""
    chance = random.Random(seed)
    for number in range(count):
        values = boosters.model(kind)
        held = values["learner"]["gradient_booster"]
        trees = held.get("gbtree", held)["model"]["trees"]
        names = []
        for _ in range(chance.choice((1, 1, 2, 4))):
            tree = chance.choice(trees)
            name = chance.choice(
                [key for key, column in tree.items() if column and key in boosters.TYPED]
            )
            node = chance.randrange(len(tree[name]))
            tree[name][node] = chance.choice([*VALUES[boosters.TYPED[name]], *tree[name]])
            names.append(f"{name}[{node}]={tree[name][node]}")
        yield Mutation(f"{seed}/{number} {' '.join(names)}", boosters.encode(values))
