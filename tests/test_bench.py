"""The benchmarks run and print what they promise; no time is asserted."""

from __future__ import annotations

import pytest

from shelfmark import bench
from shelfmark.errors import ShelfmarkError

SMALL = ["data.options.papers=300", "data.min_papers=5"]


def test_preprocessing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "REPEATS", 1)
    bench.run(["data"], SMALL)
    out = capsys.readouterr().out
    assert "papers/second" in out
    assert "300" in out


def test_a_measurement_that_fails_says_why() -> None:
    with pytest.raises(ShelfmarkError, match="there is no file nowhere.zip"):
        bench.run(["data"], ["data=snapshot", "data.path=nowhere.zip"])
