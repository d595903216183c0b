"""Services under load in turn, so that what slows the machine for a while slows them all."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.serve import wrk
from shelfmark.experiments.benchmarks.serve.wrk import Figures, Load

Case = tuple[str, Load]  # the name of a service, and the load that it gets


@dataclass(frozen=True)
class Plan:
    """How long is measured, and with how many papers.

    Args:
        rounds: in each of which every case is measured once.
        seconds: of a measurement.
        warm_up: seconds of load on a service before the first round, for each case.
        papers: whose abstracts are sent in turn.
        compared: papers whose answers are compared with those of the command.
    """

    rounds: int = 3
    seconds: int = 5
    warm_up: int = 2
    papers: int = 200
    compared: int = 2000


def measure(urls: Mapping[str, str], cases: Sequence[Case], plan: Plan) -> dict[Case, Figures]:
    """Return the medians of the rounds.

    Args:
        urls: the address of each service.
        cases: in the order in which a round measures them.
        plan: the rounds and their length.

    Raises:
        ShelfmarkError: wrk is missing, or a service fails; names it and the load.
    """
    for case in cases:
        _send(urls, case, plan.warm_up)
    runs = [{case: _send(urls, case, plan.seconds) for case in cases} for _ in range(plan.rounds)]
    return {case: median_of([run[case] for run in runs]) for case in cases}


def _send(urls: Mapping[str, str], case: Case, seconds: int) -> Figures:
    service, load = case
    try:
        return wrk.send(urls[service], load, seconds)
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{service}, {load}: {error}") from None


def median_of(figures: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(
        statistics.median(one.rate for one in figures),
        statistics.median(one.p50 for one in figures),
        statistics.median(one.p99 for one in figures),
    )
