"""Training, as a table of contents: data, model, figures, artifact."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loguru import logger

from shelfmark.arxiv.taxonomy import full_name
from shelfmark.config.schema import Config
from shelfmark.core import files, provenance
from shelfmark.core.checkpoint import (
    Checkpoint,
    has_unfinished,
    open_checkpoint,
    remove_unfinished,
)
from shelfmark.core.project import checkout
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation import evaluate, model_card
from shelfmark.models import artifact, confidence
from shelfmark.models.boosted.boosting import RoundCallback
from shelfmark.models.boosted.engine import LOCAL, Engine, open_engine
from shelfmark.models.boosted.fit import Fitted, fit_model
from shelfmark.monitoring import reference
from shelfmark.training import identity, tracking


def train(settings: Config) -> Path:
    """Make the splits, fit on train, measure on validation, and save the artifact.

    Returns:
        The artifact's folder.

    Raises:
        ShelfmarkError: the data, the configuration or the disk do not allow it.
    """
    name = settings.name or name_of(settings)
    models = Path(settings.paths.models)
    if (models / name).exists():
        return finish(models / name, settings)
    with open_engine(settings.engine) as engine:
        return learn(settings, name, engine)


def learn(settings: Config, name: str, engine: Engine) -> Path:
    """Do what `train` says, on an engine, under a name that is free."""
    models = Path(settings.paths.models)
    splits = prepare_splits(settings)
    key = identity.key_of(settings, splits)
    origin = {"key": key, "data_card_sha256": splits.digest, "git_commit": git_commit()}
    with tracking.start(settings, name, origin) as run, open_checkpoint(models, key) as checkpoint:
        made, figures = fit_and_measure(settings, name, key, splits, run.log, checkpoint, engine)
        headline, rounds = made.card["metrics"]["validation"], made.card["rounds"]
        run.finish({**headline, "rounds": rounds, "model": str(models / name)})
        if run.wants_report:
            validation = splits.read("validation")
            report = evaluate.build_report(made, splits, "validation", validation, figures)
            pictures = evaluate.write_report(report, Path(settings.paths.reports))
            run.report(pictures, report["telling_terms"])
        folder = artifact.save(
            made, models, reference.reference_parquet(made, splits.read("validation"))
        )
        run.keep(folder, artifact.read_card(folder))
    synthetic = splits.card["synthetic"]
    evaluate.show(
        {**figures, "model": name, "split": "validation", "synthetic": synthetic, "baselines": {}}
    )
    logger.info("model: {} (also {})", folder, models / artifact.LATEST)
    return folder


def fit_and_measure(
    settings: Config,
    name: str,
    key: str,
    splits: Splits,
    callback: RoundCallback,
    checkpoint: Checkpoint,
    engine: Engine = LOCAL,
) -> tuple[artifact.Model, dict[str, Any]]:
    """Fit on train and measure on validation; nothing is saved.

    Returns:
        The model, whose card holds the headline of its figures, and all of them.

    Raises:
        ShelfmarkError: the data or the configuration do not allow it.
    """
    validation = splits.read("validation")
    fitted = fit_model(settings, splits.read("train"), validation, callback, checkpoint, engine)
    made = artifact.Model(fitted.pipeline, describe(settings, name, key, splits, fitted))
    answers = evaluate.predict_table(made, validation)
    made.card["thresholds"] = confidence.choose(answers, settings.predict.min_precision)
    figures = evaluate.score_answers(answers, made)
    headline = {figure: figures.get(figure) for figure in evaluate.FIGURES}
    made.card["metrics"] = {"validation": headline}
    return dataclasses.replace(
        made, about=model_card.render_model_card(made.card, figures)
    ), figures


def finish(folder: Path, settings: Config) -> Path:
    """Finish what is left of a run that was killed once its model was saved.

    Raises:
        ShelfmarkError: the name is taken by another's model.
    """
    card: dict[str, Any] = {}
    with contextlib.suppress(ShelfmarkError):
        card = artifact.read_card(folder)
    ours = card.get("config") == settings.model_dump(mode="json")
    if not ours or not has_unfinished(folder.parent, card["key"]):
        raise ShelfmarkError(f"name={folder.name}: {folder} exists already, choose another name")
    files.clear_leftovers(folder.parent)
    artifact.point_latest_at(folder)
    remove_unfinished(folder.parent, card["key"])
    logger.info("model: {} (also {}), saved before", folder, folder.parent / artifact.LATEST)
    return folder


def describe(
    settings: Config, name: str, key: str, splits: Splits, fitted: Fitted
) -> dict[str, Any]:
    """Return what a model's card says of how it came to be."""
    return {
        "name": name,
        "key": key,
        **provenance.stamp(),
        "git_commit": git_commit(),
        "config": settings.model_dump(mode="json"),
        "data": {
            "folder": str(splits.folder),
            "card_sha256": splits.digest,
            "source": splits.card["source"],
            "synthetic": splits.card["synthetic"],
            "papers": splits.card["splits"],
            "submitted": splits.card["submitted"],
        },
        "classes": [{"label": label, "name": full_name(label)} for label in fitted.classes],
        "listed": list(fitted.targets.listed),
        "rounds": fitted.rounds,
        "seconds": fitted.seconds,
    }


def name_of(settings: Config) -> str:
    """Return a model's name that sorts by time and says what it is: 20260102-030405-sample-fast."""
    parts = (f"{datetime.now(UTC):%Y%m%d-%H%M%S}", settings.data.source, settings.experiment)
    return "-".join(part for part in parts if part)


def git_commit() -> str | None:
    """Return the commit of the code that runs: an image says its own; None outside a checkout."""
    if stated := os.environ.get("SHELFMARK_COMMIT"):
        return stated
    if checkout() is None:  # git would answer for a repository that the environment lies in
        return None
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
