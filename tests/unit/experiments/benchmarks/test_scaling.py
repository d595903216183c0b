"""The estimate for more workers: the law on numbers whose answer is known."""

from __future__ import annotations

import pytest

from shelfmark.experiments.benchmarks.scaling import Scaling

LAW = Scaling(
    one={"words": 10.0, "trees": 100.0, "rest": 5.0, "moved": 1e8},
    two={"words": 10.0, "trees": 50.0, "rest": 5.0, "moved": 2e8},
    most={},
    link=1e9,
)


@pytest.mark.parametrize(("workers", "seconds"), [(1, 115.1), (2, 65.2), (4, 40.4), (10, 26.0)])
def test_what_is_shared_shrinks_and_the_rest_and_the_network_do_not(
    workers: int, seconds: float
) -> None:
    assert LAW.seconds(workers) == pytest.approx(seconds)


def test_a_stage_of_few_tasks_gains_nothing_from_more_workers() -> None:
    bound = Scaling(LAW.one, LAW.two, {"trees": 2}, LAW.link)
    assert bound.seconds(4) == pytest.approx(65.4)


def test_a_cluster_pays_from_the_first_number_that_is_faster() -> None:
    assert LAW.pays_from(60.0) == 3
    assert LAW.pays_from(200.0) == 1
    assert LAW.pays_from(10.0) is None


def test_a_second_worker_that_slows_a_stage_down_promises_nothing() -> None:
    worse = Scaling(LAW.one, {**LAW.two, "trees": 120.0}, {}, 1e12)
    assert worse.seconds(16) == pytest.approx(115, abs=0.1)
