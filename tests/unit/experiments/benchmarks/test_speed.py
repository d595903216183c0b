"""The benchmarks return a table, and estimate more workers by a law; no time is asserted."""

from __future__ import annotations

import re

import pytest

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks import speed
from shelfmark.experiments.benchmarks.speed import Scaling

SMALL = ["data.options.papers=300", "data.min_papers=5"]
LAW = Scaling(
    one={"words": 10.0, "trees": 100.0, "rest": 5.0, "moved": 1e8},
    two={"words": 10.0, "trees": 50.0, "rest": 5.0, "moved": 2e8},
    most={},
    link=1e9,
)


def test_a_table_of_the_named_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "REPEATS", 1)
    table = speed.run_benchmarks(["data"], SMALL)
    assert table.title == "inv bench data data.options.papers=300 data.min_papers=5"
    [(what, here, *rest)] = table.rows
    assert what == "preprocess 300 papers"
    assert re.fullmatch(r"[\d,]+ papers/s, [\d,]+ MB", here)
    assert rest == ["", ""]


def test_a_measurement_that_fails_raises_with_its_reason() -> None:
    with pytest.raises(ShelfmarkError, match="there is no file nowhere.zip"):
        speed.run_benchmarks(["data"], ["data=snapshot", "data.path=nowhere.zip"])


@pytest.mark.parametrize(("word", "name"), [("papers=9", "growth"), ("also=all", "serve")])
def test_a_word_of_one_benchmark_is_only_for_that(word: str, name: str) -> None:
    with pytest.raises(ShelfmarkError, match=f"{word}: only for inv bench {name}"):
        speed.run_benchmarks(["data"], [word])


def test_a_ratio_above_one_means_that_ours_takes_less() -> None:
    ours, theirs = {"fit": 2.0, "peak_mb": 100.0}, {"fit": 5.0, "peak_mb": 50.0}
    assert speed._compare(ours, theirs, "fit", "scikit-learn") == (
        "2.0 s", "5.0 s scikit-learn", "2.5x",
    )  # fmt: skip
    assert speed._compare(ours, theirs, "peak_mb", "scikit-learn")[2] == "1/2.0"


@pytest.mark.parametrize(("workers", "seconds"), [(1, 115.1), (2, 65.2), (4, 40.4), (10, 26.0)])
def test_parallel_work_shrinks_and_the_rest_and_the_network_do_not(
    workers: int, seconds: float
) -> None:
    assert LAW.seconds(workers) == pytest.approx(seconds)


def test_a_stage_of_few_tasks_gains_nothing_from_more_workers() -> None:
    bound = Scaling(LAW.one, LAW.two, {"trees": 2}, LAW.link)
    assert bound.seconds(4) == pytest.approx(65.4)


def test_a_cluster_breaks_even_at_the_first_number_of_workers_that_is_faster() -> None:
    assert LAW.break_even(60.0) == 3
    assert LAW.break_even(200.0) == 1
    assert LAW.break_even(10.0) is None


def test_a_second_worker_that_slows_a_stage_down_promises_nothing() -> None:
    worse = Scaling(LAW.one, {**LAW.two, "trees": 120.0}, {}, 1e12)
    assert worse.seconds(16) == pytest.approx(115, abs=0.1)
