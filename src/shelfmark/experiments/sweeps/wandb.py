"""Sweeps at W&B: its server chooses, an agent in this process fits and measures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import wandb
from loguru import logger
from omegaconf import OmegaConf

from shelfmark.config.groups import list_groups
from shelfmark.config.trainings import Settings
from shelfmark.core import console, files
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps.programs import LOSS
from shelfmark.experiments.sweeps.spec import Values
from shelfmark.experiments.sweeps.trial import Outcome, Plan, run_trial
from shelfmark.training import tracking
from shelfmark.training import wandb as wandb_run

GROUP = "group."  # before the key of a parameter that chooses a group


def search_with_wandb(plan: Plan, folder: Path, trials: int, joined: str = "") -> list[Outcome]:
    """Create a sweep or join one, and return the outcomes of this agent's trials.

    Args:
        plan: of the trials.
        folder: of the local records of the runs.
        trials: at most.
        joined: the id of an existing sweep, or entity/project/id; empty to create one.

    Raises:
        ShelfmarkError: W&B does not take it, or no trial was completed.
    """
    settings = plan.settings(plan.sweep.candidates()[0])
    project = plan.sweep.project or settings.tracking.project
    entity = plan.sweep.entity or settings.tracking.entity
    if plan.sweep.early_terminate is not None and plan.sweep.metric.name != LOSS:
        logger.warning("early_terminate: W&B watches metric.name, which receives only {}", LOSS)
    agent = _Agent(plan, folder, project, entity)
    records = (folder / plan.name).resolve()
    with files.report_write_errors(records):
        records.mkdir(parents=True, exist_ok=True)
    try:
        with wandb_run.wandb_environment(records):
            sweep_id = joined or wandb.sweep(
                _to_wandb(plan, trials), entity=entity, project=project
            )
            logger.success("another agent joins in by --engine wandb --study {}", sweep_id)
            wandb.agent(sweep_id, agent.run_trial, entity, project, trials)
    except Exception as error:  # W&B raises errors of many kinds
        raise ShelfmarkError(f"W&B: {str(error).strip().partition(chr(10))[0]}") from error
    if not any(outcome.state == "complete" for outcome in agent.outcomes):
        why = next((outcome.why for outcome in agent.outcomes), "the server gave none")
        raise ShelfmarkError(f"sweep {plan.name}: no trial was completed: {why}")
    return agent.outcomes


def _to_wandb(plan: Plan, trials: int) -> dict[str, Any]:
    """Return the sweep in W&B's format.

    A parameter that chooses a group has a name of its own there: as `model`, it would take the
    place of the section `model` in the configuration of each run.
    """
    config = plan.sweep.model_dump(mode="json", exclude_unset=True)
    choices = set(list_groups())
    config["parameters"] = {
        f"{GROUP}{key}" if key in choices else key: one for key, one in config["parameters"].items()
    }
    return {**config, "name": plan.name, "run_cap": trials}


class _Agent:
    """Runs the trials that the server requests, each as a run of W&B."""

    def __init__(self, plan: Plan, folder: Path, project: str, entity: str | None) -> None:
        self._plan = plan
        self._folder = folder / plan.name
        self._tracking = {"kind": "wandb", "project": project, "entity": entity}
        self.outcomes: list[Outcome] = []

    def run_trial(self) -> None:
        """Run one trial, with the values that W&B has written to a file."""
        console.configure_logging("SUCCESS")
        number, values = len(self.outcomes), self._plan.sweep.round_values(_read_values())
        state: Any = "failed"
        figures: dict[str, Any] = {}
        why = "stopped by W&B"
        try:
            name = f"{self._plan.name}-{os.environ['WANDB_RUN_ID']}"
            with tracking.start_run(self._settings(values), name) as record:
                figures = run_trial(self._plan, values, record.log)
                record.finish(figures)
            state, why = "complete", ""
        except ShelfmarkError as error:
            why = str(error)
            raise
        finally:
            self.outcomes.append(Outcome(number, values, state, figures, why))
            if state == "complete":
                name = self._plan.sweep.metric.name
                logger.success("trial {}: {} {:.4f}", number, name, figures[name])
            else:
                logger.warning("trial {} failed: {}", number, why)

    def _settings(self, values: Values) -> Settings:
        """Return the configuration of a trial, recorded at W&B and in the sweep's folder."""
        settings = self._plan.settings(values)
        where = settings.tracking.model_copy(update=self._tracking)
        paths = settings.paths.model_copy(update={"reports": str(self._folder)})
        return settings.model_copy(update={"tracking": where, "paths": paths})


def _read_values() -> Values:
    """Return the values of the run that the agent starts."""
    values = OmegaConf.to_container(OmegaConf.load(os.environ["WANDB_SWEEP_PARAM_PATH"]))
    assert isinstance(values, dict)
    return {
        str(key).removeprefix(GROUP): entry["value"]
        for key, entry in values.items()
        if isinstance(entry, dict)
    }
