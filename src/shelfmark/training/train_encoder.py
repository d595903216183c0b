"""One training of an encoder: data, encoder, figures, artifact."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from loguru import logger

from shelfmark.artifacts.aliases import LATEST
from shelfmark.artifacts.card import TrainingData
from shelfmark.arxiv.text import CLEANING
from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.trainings import ENCODER
from shelfmark.core import provenance
from shelfmark.core.checkpoint import open_checkpoint
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from shelfmark.embeddings import artifact
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.families import family_of
from shelfmark.embeddings.protocol import FittedEncoder
from shelfmark.evaluation.encoders.validation import measure_validation
from shelfmark.training import identity, tracking
from shelfmark.training.names import reserve_name
from shelfmark.training.saved_runs import complete_saved_run
from shelfmark.training.train import git_commit


@dataclasses.dataclass(frozen=True)
class EncoderResult:
    """The result of a training.

    Args:
        folder: the encoder's folder.
        metrics: the figures on validation; None if an earlier run had measured it.
    """

    folder: Path
    metrics: dict[str, float] | None = None


def train_encoder(settings: EncoderSettings) -> EncoderResult:
    """Prepare the splits, train on train, measure on validation, and save the encoder.

    An encoder that a killed run with the same configuration had saved is completed instead.

    Raises:
        ShelfmarkError: the data, the configuration or the disk do not allow it, or the name is
            taken, by an encoder or by a training that is running.
    """
    encoders = ENCODER.folder(settings)
    with reserve_name(settings) as name:
        folder = encoders / name
        if folder.exists():
            complete_saved_run(folder, settings, artifact.read_card, artifact.point_latest_at)
            logger.info("encoder: {} (also {}), saved before", folder, encoders / LATEST)
            return EncoderResult(folder)
        return _train_new(settings, name, encoders)


def _train_new(settings: EncoderSettings, name: str, encoders: Path) -> EncoderResult:
    splits = prepare_splits(settings)
    key = identity.key_of_encoder(settings, splits)
    origin = {"key": key, "data_card_sha256": splits.digest, "git_commit": git_commit()}
    with (
        tracking.start_run(settings, name, origin) as run,
        open_checkpoint(encoders, key) as checkpoint,
    ):
        validation = splits.read("validation")
        fitted = family_of(settings.encoder.kind).fit(
            settings, splits.read("train"), validation, run.log, checkpoint
        )
        metrics = measure_validation(fitted.encoder, validation, settings.data.maths)
        card = dataclasses.replace(
            build_card(settings, name, key, splits, fitted), metrics={"validation": {**metrics}}
        )
        run.finish({**metrics, **card.details, "encoder": str(encoders / name)})
        folder = artifact.save(fitted.encoder, card, encoders)
        run.log_encoder(folder, artifact.read_card(folder))
    logger.info("encoder: {} (also {})", folder, encoders / LATEST)
    return EncoderResult(folder, metrics)


def build_card(
    settings: EncoderSettings, name: str, key: str, splits: Splits, fitted: FittedEncoder
) -> EncoderCard:
    """Return an encoder's card: the run, its configuration and its data."""
    stamp = provenance.stamp()
    config: dict[str, Any] = settings.model_dump(mode="json")
    return EncoderCard(
        name=name,
        key=key,
        command=stamp["command"],
        created=str(stamp["created"]),
        git_commit=git_commit(),
        config=config,
        size=fitted.encoder.size,
        sizes=config["encoder"].get("sizes", []),
        data=TrainingData.from_card(str(splits.folder), splits.digest, splits.card),
        text_cleaning=list(CLEANING),
        details=fitted.details,
        seconds=fitted.seconds,
    )
