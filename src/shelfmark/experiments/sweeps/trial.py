"""One trial of a sweep: fitted on train and measured on validation, never saved."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from shelfmark.config.trainings import Settings
from shelfmark.core import checkpoint
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError, nearest
from shelfmark.experiments.sweeps.programs import LOSS, STEPS
from shelfmark.experiments.sweeps.spec import Sweep, Values, as_overrides
from shelfmark.models.protocol import RoundCallback


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial.

    Args:
        number: of the trial, from 0.
        values: its parameters.
        state: how it ended.
        figures: on validation, with the least `validation` loss of a step, the number of steps as
            `rounds`, and the `seconds`; of a pruned trial, those known so far.
        why: the error of a failed trial.
    """

    number: int
    values: Values
    state: Literal["complete", "pruned", "failed"]
    figures: dict[str, Any] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """The part that all trials of a sweep share.

    Args:
        name: of the sweep.
        sweep: the search.
        overrides: of the command line.
        splits: folder of the papers, prepared once.
        threads: of one trial.
        stages: folder of the stages that all trials share; None if they share none.
    """

    name: str
    sweep: Sweep
    overrides: tuple[str, ...]
    splits: Path
    threads: int
    stages: Path | None = None

    def settings(self, values: Values) -> Settings:
        """Return the configuration of a trial."""
        runs = self.sweep.runs
        settings = runs.load([*self.overrides, *as_overrides(values)])
        return runs.with_threads(settings, self.threads)


@contextmanager
def open_plan(
    name: str,
    sweep: Sweep,
    overrides: tuple[str, ...],
    tried: Sequence[Settings],
    reports: Path,
    threads: int,
) -> Iterator[Plan]:
    """Check a sweep, prepare its splits, and yield the plan of its trials.

    Args:
        name: of the sweep.
        sweep: the search.
        overrides: of the command line.
        tried: the configurations that `check_sweep` returns.
        reports: the folder of the stages that all trials share.
        threads: of one trial.

    Raises:
        ShelfmarkError: a configuration cannot run here, the metric is invalid, or the splits cannot
            be prepared.
    """
    first, runs = tried[0], sweep.runs
    for settings in tried:
        runs.check(settings)
    metric, known = sweep.metric.name, [LOSS, *runs.figures]
    if metric not in known:
        raise ShelfmarkError(f"metric: there is no figure {metric}{nearest(metric, known)}")
    if metric == LOSS and not runs.most_steps(first):
        raise ShelfmarkError(
            f"metric: this {runs.main} has no {runs.step}s and no {LOSS}: take {runs.columns[0]}"
        )
    splits = prepare_splits(first)
    plan = Plan(name, sweep, overrides, splits.folder, threads)
    key = runs.shared_key(first, splits, sweep.drawn_keys())
    if key is None:
        yield plan
        return
    with checkpoint.open_checkpoint(reports, key) as stages:
        yield dataclasses.replace(plan, stages=stages.folder)


def run_trial(plan: Plan, values: Values, callback: RoundCallback) -> dict[str, Any]:
    """Fit on train and return the figures on validation.

    Raises:
        ShelfmarkError: the values do not go together, or a library refuses one.
    """
    settings, started = plan.settings(values), time.perf_counter()
    steps, losses = 0, list[float]()

    def record_step(number: int, of_step: dict[str, float]) -> None:
        nonlocal steps
        steps += 1
        if LOSS in of_step:
            losses.append(of_step[LOSS])
        callback(number, of_step)

    with checkpoint.temporary_checkpoint() as own:
        splits = open_splits(plan.splits)
        figures = plan.sweep.runs.measure(
            settings, plan.name, splits, record_step, own, plan.stages
        )
    figures.setdefault(STEPS, steps)
    if losses:
        figures[LOSS] = min(losses)
    if figures.get(plan.sweep.metric.name) is None:
        raise ShelfmarkError(f"this {plan.sweep.runs.main} has no {plan.sweep.metric.name}")
    return {**figures, "seconds": round(time.perf_counter() - started, 1)}
