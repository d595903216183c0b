"""One trial of a sweep: a model fitted on train and measured on validation, never saved."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from shelfmark.config.load import load_config
from shelfmark.config.schema import Config
from shelfmark.core import checkpoint
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError, nearest
from shelfmark.evaluation import evaluate
from shelfmark.experiments.sweeps import spec as sweep_file
from shelfmark.experiments.sweeps.spec import Sweep, Values
from shelfmark.models.boosted.boosting import STAGE, RoundCallback
from shelfmark.training import identity, train

LOSS = "validation"  # the loss of a round, as `shelfmark train` records it
# Parameters that come after the stages of the features, which one trial can do for all others.
LATE = ("features.chosen_terms", "predict.", "model.")
EARLY = ("model.stack", "model.classifier")


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Args:
        number: of the trial, from 0.
        values: its parameters.
        state: how it ended.
        figures: of the model on validation, with the least `validation` loss of a round, the
            number of `rounds` and the `seconds`; of a trial that was given up, as far as it came.
        why: what was wrong, of one that failed.
    """

    number: int
    values: Values
    state: Literal["complete", "pruned", "failed"]
    figures: dict[str, Any] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """What all trials of a sweep share.

    Args:
        name: of the sweep.
        sweep: what is searched.
        overrides: what the command line says beside it.
        splits: folder of the papers, made once.
        threads: of the trees of one trial.
        stages: where trials keep the features that all of them share; None where they differ.
    """

    name: str
    sweep: Sweep
    overrides: tuple[str, ...]
    splits: Path
    threads: int
    stages: Path | None = None

    def settings(self, values: Values) -> Config:
        """Return the configuration of a trial."""
        made = load_config([*self.overrides, *sweep_file.as_overrides(values)])
        if made.model.n_jobs is None:
            model = made.model.model_copy(update={"n_jobs": self.threads})
            made = made.model_copy(update={"model": model})
        return made


class SharedStages(Checkpoint):
    """The stages of features that no parameter touches; the trees are each trial's own."""

    def __contains__(self, name: str) -> bool:
        """Whether a stage is done, by this trial or by one before."""
        return name != STAGE and super().__contains__(name)

    def save(self, name: str, result: object) -> None:
        """Save a result for the other trials, unless it belongs to this trial alone."""
        if name != STAGE:
            super().save(name, result)


@contextmanager
def planned(
    name: str, sweep: Sweep, overrides: tuple[str, ...], reports: Path, threads: int
) -> Iterator[Plan]:
    """Check a sweep, make its splits, and yield what its trials share.

    Raises:
        ShelfmarkError: a parameter, a value or the metric is none, or the splits cannot be made.
    """
    first = sweep_file.check(sweep, overrides)
    if first.engine.kind != "local":
        raise ShelfmarkError(f"engine={first.engine.kind}: a sweep trains on this machine")
    metric, known = sweep.metric.name, [LOSS, *evaluate.FIGURES]
    if metric not in known:
        raise ShelfmarkError(f"metric: there is no figure {metric}{nearest(metric, known)}")
    if metric == LOSS and first.model.classifier == "linear":
        raise ShelfmarkError(f"metric: a linear model has no rounds and no {LOSS}: take log_loss")
    splits = prepare_splits(first)
    plan = Plan(name, sweep, overrides, splits.folder, threads)
    if all(key.startswith(LATE) and not key.startswith(EARLY) for key in _drawn(sweep)):
        with checkpoint.open_checkpoint(reports, identity.key_of(first, splits)) as stages:
            yield dataclasses.replace(plan, stages=stages.folder)
    else:
        yield plan


def _drawn(sweep: Sweep) -> list[str]:
    found = sweep.parameters.items()
    return [key for key, parameter in found if parameter.distribution != "constant"]


def measure(plan: Plan, values: Values, callback: RoundCallback) -> dict[str, Any]:
    """Fit one model and return its figures on validation.

    Raises:
        ShelfmarkError: the values do not go together, or XGBoost refuses one.
    """
    settings, started = plan.settings(values), time.perf_counter()
    losses: list[float] = []

    def told(number: int, of_round: dict[str, float]) -> None:
        losses.append(of_round[LOSS])
        callback(number, of_round)

    with checkpoint.temporary_checkpoint() as own:
        stages = SharedStages(plan.stages) if plan.stages is not None else own
        made, _ = train.fit_and_measure(
            settings, plan.name, "", open_splits(plan.splits), told, stages
        )
    figures = {**made.card["metrics"]["validation"], "rounds": made.card["rounds"]}
    if losses:
        figures[LOSS] = min(losses)
    if figures.get(plan.sweep.metric.name) is None:
        raise ShelfmarkError(f"this model has no {plan.sweep.metric.name}")
    return {**figures, "seconds": round(time.perf_counter() - started, 1)}
