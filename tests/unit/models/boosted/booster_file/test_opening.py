"""The file of a booster: what a training writes opens unchanged, anything else is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.booster_file.opening import read_booster
from tests.support.boosters import (
    CLASSES,
    FEATURES,
    KINDS,
    content,
    grow,
    open_by_xgboost,
    rows,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_booster_opens_with_the_same_predictions_and_explanations(kind: str) -> None:
    before = grow(kind)
    read_booster(content(kind), FEATURES, KINDS[kind][1])
    after = open_by_xgboost(content(kind))
    one, other = (
        booster.inplace_predict(rows(), predict_type="margin") for booster in (before, after)
    )
    assert one.tobytes() == other.tobytes()
    assert np.isfinite(one).all()
    data = xgboost.DMatrix(rows())
    one, other = (booster.predict(data, pred_contribs=True) for booster in (before, after))
    assert one.tobytes() == other.tobytes()
    assert np.isfinite(one).all()
    assert bytes(after.save_raw("ubj")) == content(kind)


@pytest.mark.parametrize(
    ("kind", "features", "classes"),
    [
        ("several", FEATURES + 1, CLASSES),
        ("several", FEATURES, CLASSES + 1),
        ("several", FEATURES, 2),
        ("several", FEATURES, None),
        ("two", FEATURES, CLASSES),
        ("two", FEATURES, None),
        ("candidates", FEATURES, 2),
    ],
)
def test_a_booster_of_another_head_is_refused(
    kind: str, features: int, classes: int | None
) -> None:
    with pytest.raises(ShelfmarkError, match="^at byte "):
        read_booster(content(kind), features, classes)
