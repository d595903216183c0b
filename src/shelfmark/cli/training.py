"""`shelfmark data`, `train`, `sweep` and `sync`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shelfmark.cli.extras import require_extra, require_training
from shelfmark.cli.output import print_table
from shelfmark.cli.parsing.command import Command, Number, Whole
from shelfmark.cli.parsing.options import LocalPath, models_option
from shelfmark.cli.parsing.overrides import (
    NameOrOverride,
    OverridesCommand,
    choices,
    load_settings,
    overrides_argument,
)

if TYPE_CHECKING:
    from shelfmark.config.schema import Config


@click.command("data", cls=OverridesCommand)
@overrides_argument
@click.option(
    "--push", is_flag=True,
    help="Track the folder of the splits with DVC and copy it to the bucket.",
)  # fmt: skip
@click.option(
    "--pull", is_flag=True,
    help="Fetch missing files that data.dvc tracks from the bucket.",
)  # fmt: skip
def data(overrides: tuple[str, ...], push: bool, pull: bool) -> None:
    """Make the Parquet splits and the data card.

    With only --push or --pull, no splits are made.
    """
    from shelfmark.data import dvc
    from shelfmark.data.prepare import prepare_splits

    settings = load_settings(overrides)
    folder = Path(settings.paths.data)
    if push or pull:
        dvc.require_remote(folder)
        require_extra("dvc", "dvc")
    if pull:
        dvc.pull_data(folder)
    if overrides or not (push or pull):
        prepare_splits(settings)
        dvc.add_to_cache(folder)
    if push:
        dvc.push_data(folder)


@click.command(
    "train",
    cls=OverridesCommand,
    stopped="the same command resumes from the finished stages",
)
@overrides_argument
def train(overrides: tuple[str, ...]) -> None:
    """Train a model: make missing splits, fit, evaluate on validation, save."""
    if "tracking=wandb" in overrides:
        require_extra("wandb", "wandb")
    if "engine=dask" in overrides:
        require_extra("distributed", "dask")
    from shelfmark.cloud.job import run_in_job
    from shelfmark.config.trainings import CLASSIFIER
    from shelfmark.training.train import train_model

    settings = load_settings(overrides)
    require_training(settings)

    def train_and_print(settings: Config) -> Path:
        result = train_model(settings)
        if result.report is not None:
            print_table(result.report.table())
        return result.folder

    run_in_job(settings, CLASSIFIER, train_and_print)


@click.command("sync", cls=Command, stopped="unsent runs stay in the folder")
@click.option(
    "--folder", type=LocalPath(existing=True), default="reports", show_default=True,
    help="Folder of the reports.",
)  # fmt: skip
@click.option(
    "--seconds", type=Number(min=0, min_open=True), default=3600.0, show_default=True,
    help="Time limit for all runs together.",
)  # fmt: skip
def sync(folder: Path, seconds: float) -> None:
    """Send offline and interrupted runs to W&B."""
    require_extra("wandb", "wandb")
    from shelfmark.training import wandb_sync

    if not wandb_sync.sync_runs(folder, seconds):
        click.echo(f"nothing to send in {folder}")


@click.command(
    "sweep",
    cls=Command,
    examples=[
        "sweep fast",
        "sweep stacked data=snapshot data.path=arxiv.zip --trials 100 --workers 2",
    ],
    stopped="the same command resumes with the remaining trials",
)
@click.argument("words", nargs=-1, type=NameOrOverride(choices), metavar="[NAME] [OVERRIDES]...")
@click.option(
    "--trials", type=Whole(1), default=None,
    help="Total number of trials, finished ones included; run_cap of the file if not given.",
)  # fmt: skip
@click.option(
    "--workers", type=Whole(1), default=1, show_default=True,
    help="Number of processes that share the trials.",
)  # fmt: skip
@click.option(
    "--study", default="",
    help="Name or path.db of another study; at W&B, id of a sweep to join.",
)  # fmt: skip
@click.option(
    "--engine", default="auto", show_default=True,
    help="auto, wandb or optuna; auto: wandb with an account, else optuna.",
)  # fmt: skip
def sweep(
    words: tuple[str, ...], trials: int | None, workers: int, study: str, engine: str
) -> None:
    """Search hyperparameters as a file of configs/sweep defines, and write the best experiment.

    Overrides, as for the command that the file names (train or train-encoder), apply to all trials.
    """
    from shelfmark.core import console
    from shelfmark.experiments.sweeps.run import EXTRAS, choose_engine, run_sweep
    from shelfmark.experiments.sweeps.spec import check_sweep, read_sweep

    console.configure_logging("SUCCESS")
    named = words and "=" not in words[0] and not words[0].startswith("~")
    name, *overrides = words if named else ("fast", *words)
    tried = check_sweep(read_sweep(name).without(overrides), overrides)
    chosen, why = choose_engine(engine)
    require_extra(chosen, EXTRAS[chosen])
    for settings in tried:
        require_training(settings)
    click.echo(f"sweep {name} by {chosen}: {why}", err=True)
    result = run_sweep(name, overrides, trials or 0, workers, study, chosen)
    print_table(result.table())
    click.echo(result.experiment)


@click.command("convert-model", cls=Command, stopped="the model is unchanged")
@click.argument("model")
@models_option
def convert_model(model: str, models: Path) -> None:
    """Convert a model of an older format in place; its maker has to be trusted.

    All of an older model's pipeline is one pickle. Opening a pickle can run code with all your
    rights, and no check rules that out. So convert only a model that you have trained, or that
    comes from a person whom you would let run a program on this machine.
    """
    from shelfmark.models.convert import convert_model as convert

    folder = convert(models / model)
    click.echo(f"converted {folder}: it gives the same answers, and opening it runs nothing")


COMMANDS = (data, train, sweep, sync, convert_model)
