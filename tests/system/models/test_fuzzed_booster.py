"""Altered files of a booster: each is read, and predicts finite numbers, or refused in one line."""

from __future__ import annotations

import functools
import sys

import numpy as np
import pytest
import xgboost

from shelfmark.models.boosted.booster_file.opening import open_booster
from tests.support import boosters
from tests.support.fuzzing import mutations, read_in_children

ALTERED = 300


def predict(kind: str, content: bytes) -> None:
    booster = open_booster(content, boosters.FEATURES, boosters.KINDS[kind][1], threads=1)
    some = boosters.rows()[:20]
    margins = booster.inplace_predict(some, predict_type="margin")
    parts = booster.predict(xgboost.DMatrix(some[:2]), pred_contribs=True)
    assert np.isfinite(margins).all()
    assert np.isfinite(parts).all()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak of memory")
@pytest.mark.parametrize("kind", ["several", "two", "candidates", "dropout"])
def test_an_altered_booster_is_read_or_refused_in_one_line(kind: str) -> None:
    content = boosters.content(kind)
    altered = mutations(content, seed=12, count=ALTERED)
    report = read_in_children(functools.partial(predict, kind), content, altered)
    assert report.findings == [], report.summary()
    assert report.total == ALTERED
    assert report.refused
    assert report.accepted  # the values of leaves and thresholds may be any finite numbers
