"""Sweeps: one file, searched at W&B where there is an account, on this machine where there is none.

Neither library is needed to choose between them.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from loguru import logger

from shelfmark.config.load import load_config
from shelfmark.core import console
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps import report as sweep_report
from shelfmark.experiments.sweeps import spec as sweep_file
from shelfmark.experiments.sweeps import trial as sweep_trial
from shelfmark.training import wandb as wandb_run

Engine = Literal["wandb", "optuna"]
EXTRAS: dict[Engine, str] = {"wandb": "wandb", "optuna": "sweep"}
TRIALS = 20  # where neither the file nor the command line says how many


def choose(asked: str = "auto") -> tuple[Engine, str]:
    """Return the engine of a sweep and why it is that one.

    Raises:
        ShelfmarkError: W&B is asked for and cannot do it.
    """
    if asked not in ("auto", "wandb", "optuna"):
        raise ShelfmarkError(f"--engine {asked}: there are auto, wandb and optuna")
    if asked == "optuna":
        return "optuna", "as asked"
    lacking = _lacking()
    if lacking is None:
        return "wandb", "there is an account"
    if asked == "wandb":
        raise ShelfmarkError(f"{lacking}; without one, --engine optuna runs the same sweep here")
    return "optuna", lacking


def _lacking() -> str | None:
    """Say what keeps a sweep from running at W&B, None if nothing does."""
    mode = os.environ.get("WANDB_MODE", "online")
    if mode in ("offline", "disabled", "dryrun"):
        return f"WANDB_MODE={mode}, and W&B has no sweeps offline"
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return None
    return None if _logged_in() else "no W&B account is set up: wandb login, or WANDB_API_KEY"


def _logged_in() -> bool:
    """Whether `wandb login` has left a key for the server, in the file that it keeps them in."""
    url = {"WANDB_BASE_URL": "https://api.wandb.ai", **wandb_run.configured_server(), **os.environ}
    host = urlsplit(url["WANDB_BASE_URL"]).netloc
    places = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    for place in filter(None, places):
        try:
            return netrc.netrc(Path(place).expanduser()).authenticators(host) is not None
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def run(
    name: str,
    overrides: Sequence[str],
    trials: int = 0,
    workers: int = 1,
    study: str = "",
    engine: Engine = "optuna",
) -> Path:
    """Search among the configurations of a sweep file, and write the best as an experiment.

    Args:
        name: of a file in `configs/sweep`, or its path.
        overrides: what all trials share, such as data=snapshot; a key that the file searches is
            then settled by it.
        trials: in all, with those that are done; 0: what the file's run_cap says, else 20.
        workers: processes that share the trials, on this machine.
        study: of Optuna, a name or a path of a database; of W&B, a sweep to take part in.
        engine: who chooses.

    Returns:
        The experiment's file.

    Raises:
        ShelfmarkError: the file, an override or the engine does not allow it.
    """
    _check(trials, workers, engine)
    wanted = sweep_file.read(name)
    settled = [override.lstrip("+~").partition("=")[0] for override in overrides]
    wanted = wanted.without(settled) if set(settled) & set(wanted.parameters) else wanted
    title = wanted.name or Path(name).stem
    folder = Path(load_config(overrides).paths.reports) / "sweeps"
    threads = max(1, (os.cpu_count() or 1) // workers)
    count = trials or wanted.run_cap or TRIALS
    with sweep_trial.planned(title, wanted, tuple(overrides), folder, threads) as plan:
        if engine == "wandb":
            from shelfmark.experiments.sweeps import wandb as sweep_wandb

            outcomes = sweep_wandb.run(plan, folder, count, study)
        else:
            from shelfmark.experiments.sweeps import optuna as sweep_optuna

            database = _database(folder, study or title)
            title = database.stem
            logger.success("watch: uv run --extra sweep optuna-dashboard sqlite:///{}", database)
            outcomes = sweep_optuna.run(plan, database, count, workers)
    sweep_report.show(plan, outcomes)
    target = folder / f"{title}.yaml"
    console.STDOUT.print(sweep_report.write(plan, outcomes, target), markup=False)
    logger.success("the best, to keep as an experiment: cp {} configs/experiment/", target)
    return target


def _check(trials: int, workers: int, engine: Engine) -> None:
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
