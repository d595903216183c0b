"""The benchmarks run and print what they promise; no time is asserted."""

from __future__ import annotations

import pytest

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import speed as bench

SMALL = ["data.options.papers=300", "data.min_papers=5"]


def test_a_table_of_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "REPEATS", 1)
    bench.run(["data"], SMALL)
    out = capsys.readouterr().out
    assert "preprocess 300 papers" in out
    assert "papers/s" in out
    assert " MB" in out


def test_a_measurement_that_fails_says_why() -> None:
    with pytest.raises(ShelfmarkError, match="there is no file nowhere.zip"):
        bench.run(["data"], ["data=snapshot", "data.path=nowhere.zip"])


def test_a_ratio_above_one_says_that_ours_takes_less() -> None:
    ours, theirs = {"fit": 2.0, "peak_mb": 100.0}, {"fit": 5.0, "peak_mb": 50.0}
    assert bench._beside(ours, theirs, "fit", "scikit-learn") == (
        "2.0 s", "5.0 s scikit-learn", "2.5x",
    )  # fmt: skip
    assert bench._beside(ours, theirs, "peak_mb", "scikit-learn")[2] == "1/2.0"
