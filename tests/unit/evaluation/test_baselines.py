"""The baselines: fitted on a bounded sample of the training papers."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfmark.data import splits
from shelfmark.evaluation import baselines
from shelfmark.models import artifact


def test_the_svm_is_fitted_on_a_sample_of_stated_size(
    model: artifact.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = splits.open_splits(Path(model.card.data.folder))
    monkeypatch.setattr(baselines, "MOST_PAPERS", 300)
    scores, papers = baselines.run_baselines(whole, whole.file("test"))
    assert papers == 300
    assert baselines.run_baselines(whole, whole.file("test"))[0] == scores  # always the same
    assert scores["linear SVM"].accuracy > scores["most frequent class"].accuracy
