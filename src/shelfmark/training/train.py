"""One training: data, model, figures, artifact."""

from __future__ import annotations

import dataclasses
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from shelfmark.artifacts.aliases import LATEST
from shelfmark.artifacts.card import TrainingData
from shelfmark.arxiv.text import CLEANING
from shelfmark.config.schema import Config
from shelfmark.core import environment, files, memory, provenance
from shelfmark.core.checkpoint import (
    Checkpoint,
    open_checkpoint,
)
from shelfmark.core.project import checkout
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from shelfmark.evaluation import evaluate, model_card
from shelfmark.evaluation.records import EvaluationReport, Scores
from shelfmark.models import artifact
from shelfmark.models.card import ClassLabel, ModelCard
from shelfmark.models.families import family_of
from shelfmark.models.protocol import Fitted, RoundCallback
from shelfmark.models.scope.detector import ScopeDetector
from shelfmark.models.scope.fit import fit_detector
from shelfmark.models.transformer.family import check_network
from shelfmark.monitoring import reference
from shelfmark.training import identity, tracking, verdicts
from shelfmark.training.names import reserve_name
from shelfmark.training.saved_runs import complete_saved_run


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Args:
        folder: the model's folder.
        report: the evaluation on the validation split, without telling terms and baselines; None
            if an earlier run had measured the model.
    """

    folder: Path
    report: EvaluationReport | None = None


def train_model(settings: Config) -> TrainingResult:
    """Prepare the splits, fit on train, measure on validation, and save the model.

    A model that a killed run with the same configuration had saved is completed instead.

    Raises:
        ShelfmarkError: the data, the configuration or the disk do not allow it, or the name is
            taken, by a model or by a training that is running.
    """
    models = Path(settings.paths.models)
    with reserve_name(settings) as name:
        folder = models / name
        if folder.exists():
            complete_saved_run(folder, settings, artifact.read_card, artifact.point_latest_at)
            logger.info("model: {} (also {}), saved before", folder, models / LATEST)
            return TrainingResult(folder)
        with family_of(settings.model.kind).open_engine(settings.engine) as engine:
            return _train_new(settings, name, engine)


def _train_new(settings: Config, name: str, engine: Any) -> TrainingResult:
    models = Path(settings.paths.models)
    identity.find_used_encoder(settings)  # a missing one is an error before minutes of splits
    check_network(settings.model)
    splits = prepare_splits(settings)
    key = identity.key_of(settings, splits)
    origin = {"key": key, "data_card_sha256": splits.digest, "git_commit": git_commit()}
    with (
        tracking.start_run(settings, name, origin) as run,
        open_checkpoint(models, key) as checkpoint,
    ):
        model, scores = fit_and_measure(settings, name, key, splits, run.log, checkpoint, engine)
        run.finish(_summary(model, models / name))
        if run.wants_report:
            _log_report(run, model, splits, scores, Path(settings.paths.reports))
        validation = splits.file("validation")
        folder = artifact.save(model, models, reference.reference_parquet(model, validation))
        run.log_model(folder, artifact.read_card(folder))
    logger.info("model: {} (also {})", folder, models / LATEST)
    report = EvaluationReport(
        model=name, split="validation", synthetic=splits.card["synthetic"], **dict(scores)
    )
    return TrainingResult(folder, report)


def _summary(model: artifact.Model, folder: Path) -> dict[str, Any]:
    card = model.card
    return {**card.metrics["validation"], **card.details, "model": str(folder)}


def _log_report(
    run: tracking.Recorder,
    model: artifact.Model,
    splits: Splits,
    scores: Scores,
    reports: Path,
) -> None:
    validation = splits.file("validation")
    report = evaluate.build_report(model, splits, "validation", validation, scores)
    run.log_report(evaluate.write_report(report, reports), report.telling_terms)


def fit_and_measure(
    settings: Config,
    name: str,
    key: str,
    splits: Splits,
    callback: RoundCallback,
    checkpoint: Checkpoint,
    engine: Any = None,
) -> tuple[artifact.Model, Scores]:
    """Fit on train and measure on validation, without saving the model.

    Returns:
        The model, whose card holds the headline figures, and all scores.

    Raises:
        ShelfmarkError: the data or the configuration do not allow it.
    """
    family = family_of(settings.model.kind)
    papers = splits.file("train"), splits.file("validation")
    fitted = family.fit(settings, *papers, callback, checkpoint, engine)
    _write_profile(fitted.profile, Path(settings.paths.reports) / f"{name}-profile")
    card = build_card(settings, name, key, splits, fitted)
    scope = checkpoint.compute_once(
        "scope", lambda: fit_scope(settings, splits, fitted, _budget(settings))
    )
    model = artifact.Model(fitted.classifier, card, scope=scope)
    seen = verdicts.answer_validation(model, splits, _budget(settings))
    thresholds = verdicts.choose_thresholds(seen, settings.predict)
    model = dataclasses.replace(model, card=dataclasses.replace(card, thresholds=thresholds))
    scores = evaluate.score_answers(seen.own, model)
    card = dataclasses.replace(model.card, metrics={"validation": scores.headline()})
    about = model_card.render_model_card(card, scores)
    return dataclasses.replace(model, card=card, about=about), scores


def _write_profile(profile: dict[str, bytes], folder: Path) -> None:
    """Write the files of a profile, if there is one.

    Raises:
        ShelfmarkError: the disk is full, or the folder cannot be written.
    """
    if not profile:
        return
    with files.report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in profile.items():
        with files.atomic_write(folder / name) as file:
            file.write(content)
    logger.info("profile: {}", folder)


def fit_scope(
    settings: Config, splits: Splits, fitted: Fitted, budget: int | None
) -> ScopeDetector:
    """Fit what tells papers of a model from other texts."""
    return fit_detector(
        fitted.classes,
        splits.file("train"),
        splits.outside("train"),
        settings.data.maths,
        settings.seed,
        memory.budget_bytes(None) if budget is None else budget,
    )


def _budget(settings: Config) -> int | None:
    """Return the memory of a training on this machine; that of a cluster is its workers'."""
    engine = settings.engine
    return memory.budget_bytes(engine.memory) if engine.kind == "local" else None


def build_card(settings: Config, name: str, key: str, splits: Splits, fitted: Fitted) -> ModelCard:
    """Return a model's card: the run, its configuration, data and classes."""
    stamp = provenance.stamp()
    return ModelCard(
        name=name,
        key=key,
        command=stamp["command"],
        created=str(stamp["created"]),
        git_commit=git_commit(),
        config=settings.model_dump(mode="json"),
        data=TrainingData.from_card(str(splits.folder), splits.digest, splits.card),
        classes=[ClassLabel(label, settings.data.name_of(label)) for label in fitted.classes],
        listed=list(fitted.targets.listed),
        text_cleaning=list(CLEANING),
        details=fitted.details,
        seconds=fitted.seconds,
    )


def git_commit() -> str | None:
    """Return the commit of the running code, None outside a checkout.

    An image names its commit in `SHELFMARK_COMMIT`.
    """
    if stated := environment.read("SHELFMARK_COMMIT"):
        return stated
    if checkout() is None:  # git would answer for a repository that the environment lies in
        return None
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
