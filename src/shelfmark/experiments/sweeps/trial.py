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
from shelfmark.evaluation.records import FIGURES
from shelfmark.experiments.sweeps.spec import Sweep, Values, as_overrides, check_sweep
from shelfmark.models.boosted.boosting import STAGE
from shelfmark.models.protocol import RoundCallback
from shelfmark.training import identity, train

LOSS = "validation"  # the loss of a round, as `shelfmark train` records it
# Parameters that are used after the stages of the features, which all trials can then share.
LATE = ("features.chosen_terms", "predict.", "model.")
EARLY = ("model.stack", "model.classifier")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial.

    Args:
        number: of the trial, from 0.
        values: its parameters.
        state: how it ended.
        figures: of the model on validation, with the least `validation` loss of a round, the
            number of `rounds` and the `seconds`; of a pruned trial, those known so far.
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
        threads: of the trees of one trial.
        stages: folder of the features that all trials share; None if they differ.
    """

    name: str
    sweep: Sweep
    overrides: tuple[str, ...]
    splits: Path
    threads: int
    stages: Path | None = None

    def settings(self, values: Values) -> Config:
        """Return the configuration of a trial."""
        settings = load_config([*self.overrides, *as_overrides(values)])
        if settings.model.n_jobs is None:
            model = settings.model.model_copy(update={"n_jobs": self.threads})
            settings = settings.model_copy(update={"model": model})
        return settings


class SharedStages(Checkpoint):
    """The stages of the features, which no parameter changes; no trial shares its trees."""

    def __contains__(self, name: str) -> bool:
        """Whether this trial or an earlier one has finished a stage."""
        return name != STAGE and super().__contains__(name)

    def save(self, name: str, result: object) -> None:
        """Save a result for the other trials, unless it belongs to this trial alone."""
        if name != STAGE:
            super().save(name, result)


@contextmanager
def open_plan(
    name: str, sweep: Sweep, overrides: tuple[str, ...], reports: Path, threads: int
) -> Iterator[Plan]:
    """Check a sweep, prepare its splits, and yield the plan of its trials.

    Raises:
        ShelfmarkError: a parameter, a value or the metric is invalid, or the splits cannot be
            prepared.
    """
    first = check_sweep(sweep, overrides)
    if first.engine.kind != "local":
        raise ShelfmarkError(f"engine={first.engine.kind}: a sweep trains on this machine")
    metric, known = sweep.metric.name, [LOSS, *FIGURES]
    if metric not in known:
        raise ShelfmarkError(f"metric: there is no figure {metric}{nearest(metric, known)}")
    if metric == LOSS and not first.model.max_rounds:
        raise ShelfmarkError(f"metric: a linear model has no rounds and no {LOSS}: take log_loss")
    splits = prepare_splits(first)
    plan = Plan(name, sweep, overrides, splits.folder, threads)
    if all(key.startswith(LATE) and not key.startswith(EARLY) for key in sweep.drawn_keys()):
        with checkpoint.open_checkpoint(reports, identity.key_of(first, splits)) as stages:
            yield dataclasses.replace(plan, stages=stages.folder)
    else:
        yield plan


def run_trial(plan: Plan, values: Values, callback: RoundCallback) -> dict[str, Any]:
    """Fit one model and return its figures on validation.

    Raises:
        ShelfmarkError: the values do not go together, or XGBoost refuses one.
    """
    settings, started = plan.settings(values), time.perf_counter()
    losses: list[float] = []

    def record_round(number: int, of_round: dict[str, float]) -> None:
        losses.append(of_round[LOSS])
        callback(number, of_round)

    with checkpoint.temporary_checkpoint() as own:
        stages = SharedStages(plan.stages) if plan.stages is not None else own
        model, _ = train.fit_and_measure(
            settings, plan.name, "", open_splits(plan.splits), record_round, stages
        )
    figures = {**model.card.metrics["validation"], "rounds": model.card.rounds or 0}
    if losses:
        figures[LOSS] = min(losses)
    if figures.get(plan.sweep.metric.name) is None:
        raise ShelfmarkError(f"this model has no {plan.sweep.metric.name}")
    return {**figures, "seconds": round(time.perf_counter() - started, 1)}
