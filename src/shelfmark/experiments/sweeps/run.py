"""Sweeps: a search file, run at W&B with an account and by Optuna on this machine without one.

The choice between the two needs neither library.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from loguru import logger

from shelfmark.config.groups import list_groups
from shelfmark.core import environment, files, pages
from shelfmark.core.output.tables import Table
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps.programs import LOSS, STEPS, Program
from shelfmark.experiments.sweeps.spec import Values, check_sweep, read_sweep
from shelfmark.experiments.sweeps.trial import Outcome, Plan, open_plan
from shelfmark.training import wandb as wandb_run

Engine = Literal["wandb", "optuna"]
EXTRAS: dict[Engine, str] = {"wandb": "wandb", "optuna": "sweep"}
TRIALS = 20  # where neither the file nor the command line gives a number
SHOWN = 10


@dataclass(frozen=True)
class SweepResult:
    """The outcome of a sweep.

    Args:
        plan: what its trials share.
        outcomes: of all trials.
        path: of the best trial's experiment.
        experiment: its text.
    """

    plan: Plan
    outcomes: list[Outcome]
    path: Path
    experiment: str

    def table(self) -> Table:
        """Return the best trials, and how many were pruned or failed."""
        metric, ranked = self.plan.sweep.metric.name, rank_outcomes(self.plan, self.outcomes)
        pruned, failed = (
            sum(outcome.state == state for outcome in self.outcomes)
            for state in ("pruned", "failed")
        )
        counts = f"{len(ranked)} trials completed, {pruned} pruned, {failed} failed"
        runs = self.plan.sweep.runs
        named = {LOSS: "loss", **runs.figures}
        figures = _choose_figures(metric, runs, ranked)
        drawn = self.plan.sweep.drawn_keys()
        rows = [
            [
                str(outcome.number),
                *(_format_value(outcome.figures.get(key)) for key in figures),
                str(outcome.figures[STEPS]),
                *(_format_value(outcome.values.get(key)) for key in drawn),
            ]
            for outcome in ranked[:SHOWN]
        ]
        short = [key.rpartition(".")[2] for key in drawn]
        columns = ("trial", *(named[key] for key in figures), f"{runs.step}s", *short)
        return Table(columns, rows, title=f"{self.plan.name}: {counts}")


def _choose_figures(metric: str, runs: Program, outcomes: list[Outcome]) -> list[str]:
    """Return the figures that a table shows: the metric, and the usual ones that trials have."""
    known = {key for outcome in outcomes for key in outcome.figures}
    usual = [LOSS, *runs.columns]
    wanted = usual if metric in usual else [metric, *usual]
    return [key for key in wanted if key in known]


def choose_engine(asked: str = "auto") -> tuple[Engine, str]:
    """Return the engine of a sweep, and the reason for it.

    Args:
        asked: auto, wandb or optuna.

    Raises:
        ShelfmarkError: the engine is unknown, or W&B is asked for and unavailable.
    """
    if asked not in ("auto", "wandb", "optuna"):
        raise ShelfmarkError(f"--engine {asked}: there are auto, wandb and optuna")
    if asked == "optuna":
        return "optuna", "as asked"
    obstacle = _wandb_obstacle()
    if obstacle is None:
        return "wandb", "there is an account"
    if asked == "wandb":
        raise ShelfmarkError(f"{obstacle}; without one, --engine optuna runs the same sweep here")
    return "optuna", obstacle


def _wandb_obstacle() -> str | None:
    """Return the reason that a sweep cannot run at W&B, None if it can."""
    mode = environment.read("WANDB_MODE", "online")
    if mode in ("offline", "disabled", "dryrun"):
        return f"WANDB_MODE={mode}, and W&B has no sweeps offline"
    if environment.read("WANDB_API_KEY") or environment.read("WANDB_IDENTITY_TOKEN_FILE"):
        return None
    return None if _logged_in() else "no W&B account is set up: wandb login, or WANDB_API_KEY"


def _logged_in() -> bool:
    """Whether `wandb login` has stored a key for the server in its netrc file."""
    server = wandb_run.configured_server().get("WANDB_BASE_URL", "https://api.wandb.ai")
    host = urlsplit(environment.read("WANDB_BASE_URL", server)).netloc
    places = [environment.read("NETRC"), "~/.netrc", "~/_netrc"]
    for place in filter(None, places):
        try:
            return netrc.netrc(Path(place).expanduser()).authenticators(host) is not None
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def run_sweep(
    name: str,
    overrides: Sequence[str],
    trials: int = 0,
    workers: int = 1,
    study: str = "",
    engine: Engine = "optuna",
) -> SweepResult:
    """Search the configurations of a sweep file, and write the best as an experiment.

    Args:
        name: of a file in `configs/sweep`, or its path.
        overrides: shared by all trials, such as data=snapshot; a key of the file that is overridden
            is not searched.
        trials: in total, with those already done; 0 for the file's run_cap, else 20.
        workers: processes of this machine that share the trials.
        study: with Optuna, a name or the path of a database; with W&B, a sweep to join.
        engine: chooses the configurations.

    Raises:
        ShelfmarkError: the file, an override or the engine does not allow it, or no trial was
            completed.
    """
    _check_arguments(trials, workers, engine)
    wanted = read_sweep(name).without(overrides)
    title = wanted.name or Path(name).stem
    tried = check_sweep(wanted, overrides)
    folder = Path(tried[0].paths.reports) / "sweeps"
    database = _database(folder, study or title) if engine == "optuna" else None
    threads = max(1, (os.cpu_count() or 1) // workers)
    count = trials or wanted.run_cap or TRIALS
    with open_plan(title, wanted, tuple(overrides), tried, folder, threads) as plan:
        if database is None:
            from shelfmark.experiments.sweeps.wandb import search_with_wandb

            outcomes = search_with_wandb(plan, folder, count, study)
        else:
            from shelfmark.experiments.sweeps.optuna import search_with_optuna

            logger.success("watch: uv run --extra sweep optuna-dashboard sqlite:///{}", database)
            outcomes = search_with_optuna(plan, database, count, workers)
    return _write_result(plan, outcomes, folder / f"{database.stem if database else title}.yaml")


def _write_result(plan: Plan, outcomes: list[Outcome], path: Path) -> SweepResult:
    text = experiment_of(plan, rank_outcomes(plan, outcomes)[0])
    with files.atomic_write(path) as file:
        file.write(text.encode())
    logger.success("the best, to keep as an experiment: cp {} configs/experiment/", path)
    return SweepResult(plan, outcomes, path, text)


def _check_arguments(trials: int, workers: int, engine: Engine) -> None:
    if workers < 1 or trials < 0:
        raise ShelfmarkError("--workers and --trials count from 1")
    if engine == "wandb" and workers > 1:
        raise ShelfmarkError("--workers is for optuna; at W&B, run more agents by --study SWEEP_ID")


def _database(folder: Path, study: str) -> Path:
    if study.endswith(".db"):
        return Path(study)
    if "/" in study or study.startswith("."):
        raise ShelfmarkError(f"--study {study}: a name, or the path of a file that ends in .db")
    return folder / f"{study}.db"


def rank_outcomes(plan: Plan, outcomes: list[Outcome]) -> list[Outcome]:
    """Return the completed trials, the best first."""
    metric = plan.sweep.metric
    complete = [outcome for outcome in outcomes if outcome.state == "complete"]
    return sorted(complete, key=lambda x: x.figures[metric.name], reverse=metric.goal == "maximize")


def _format_value(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def experiment_of(plan: Plan, best: Outcome) -> str:
    """Return a trial as the yaml of an experiment.

    It holds the parameters of the sweep and the command line's values of the sections that
    determine the result, such as model; the papers stay those of the command line.
    """
    from omegaconf import OmegaConf

    settings, runs = plan.settings(best.values).model_dump(mode="json"), plan.sweep.runs
    groups = list_groups()
    keys = [override.lstrip("+~").partition("=")[0] for override in plan.overrides]
    nested: Values = {}
    for key in dict.fromkeys([*keys, *best.values]):
        if key.partition(".")[0] in runs.sections and key not in (*groups, f"{runs.main}.n_jobs"):
            _set_nested(nested, key.split("."), _get_nested(settings, key))
    return pages.render(
        "experiments/sweeps/templates/experiment.yaml",
        origin=_origin(plan, best),
        defaults=_defaults(plan, best, set(groups)),
        values=OmegaConf.to_yaml(OmegaConf.create(nested)).rstrip("\n") if nested else "",
    )


def _defaults(plan: Plan, best: Outcome, groups: set[str]) -> list[str]:
    """Return the defaults list: the experiment, and the model or encoder, that the trial chose."""
    main = plan.sweep.runs.main
    pairs = [override.partition("=") for override in plan.overrides]
    chosen = {key: value for key, _, value in pairs if key in groups}
    chosen |= {key: str(value) for key, value in best.values.items() if key in groups}
    defaults = [chosen["experiment"]] if chosen.get("experiment", "null") != "null" else []
    return defaults + ([f"override /{main}: {chosen[main]}"] if main in chosen else [])


def _origin(plan: Plan, best: Outcome) -> str:
    """Return one sentence on the trial of a configuration and its figures."""
    runs = plan.sweep.runs
    named = {LOSS: runs.step_loss, **{key: runs.figures[key] for key in runs.columns}}
    figures = [
        f"{name} {best.figures[key]:.4f}"
        for key, name in named.items()
        if best.figures.get(key) is not None
    ]
    papers = [x for x in plan.overrides if x.startswith("data")]
    on = f" on {' '.join(papers)}" if papers else ""
    return f"Trial {best.number} of the sweep {plan.name}{on}: on validation {', '.join(figures)}."


def _get_nested(settings: Values, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = value[part]
    return value


def _set_nested(nested: Values, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        nested = nested.setdefault(part, {})
    nested[parts[-1]] = value
