"""The model: a network fitted on train, stopped and calibrated on validation."""

from __future__ import annotations

import time

import numpy as np
from loguru import logger

from shelfmark.config.models import TransformerConfig
from shelfmark.config.schema import Config
from shelfmark.core.checkpoint import Checkpoint, temporary_checkpoint
from shelfmark.data.labels import Targets, learn_targets
from shelfmark.data.splits import PaperGroups
from shelfmark.errors import ShelfmarkError
from shelfmark.models.calibration.cross_lists import CrossLists
from shelfmark.models.calibration.softmax import softmax_rows
from shelfmark.models.calibration.temperature import temperature_of
from shelfmark.models.protocol import Fitted, RoundCallback
from shelfmark.models.transformer.classifier import CalibratedNetwork, TransformerClassifier
from shelfmark.models.transformer.family import prepare_fit
from shelfmark.models.transformer.fitting.papers import LabelledPapers, draw_papers
from shelfmark.models.transformer.fitting.task import NetworkTask
from shelfmark.models.transformer.network import NetworkScores

MOST_CALIBRATED = 1 << 14  # papers of validation that calibrate: more tell no more


def fit_transformer(
    config: Config,
    settings: TransformerConfig,
    train: PaperGroups,
    validation: PaperGroups,
    callback: RoundCallback,
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """Fit a network on train; validation stops and calibrates it.

    Args:
        config: the settings.
        settings: its section of the model.
        train: papers with text, label and categories, read group by group.
        validation: papers not trained on.
        callback: called after each epoch.
        checkpoint: where the trainer's checkpoints are kept and resumed; None to keep none.

    Raises:
        ShelfmarkError: a library is missing, the base is no encoder, the splits share no labels to
            learn, or the exported network differs from the trained one.
    """
    if checkpoint is None:
        with temporary_checkpoint() as checkpoint:
            return fit_transformer(config, settings, train, validation, callback, checkpoint)
    prepare_fit(settings)
    from shelfmark.models.transformer.fitting.network import fit_network

    targets = _learn_targets(config, settings, train)
    known = draw_papers(train, targets, settings.papers, config.seed)
    held = draw_papers(validation, targets, MOST_CALIBRATED, config.seed)
    task = NetworkTask(
        config=settings,
        section="model",
        seed=config.seed,
        classes=len(targets.classes),
        train=known,
        stopping=held.some(settings.stopping_papers),
        threads=settings.n_jobs,
        profile=config.train.profile,
    )
    fitted = fit_network(task, callback, checkpoint)
    started = time.perf_counter()
    calibrated = calibrate(fitted.scores, targets, known, held)
    seconds = fitted.seconds | {"calibration": round(time.perf_counter() - started, 2)}
    classifier = TransformerClassifier(calibrated, targets.classes)
    return Fitted(classifier, targets, fitted.details, seconds, fitted.profile)


def _learn_targets(config: Config, settings: TransformerConfig, train: PaperGroups) -> Targets:
    """Return the classes and the listed categories."""
    table = train.read(["label", "categories"])
    targets = learn_targets(table, config.data, settings.min_listed, settings.max_listed)
    if len(targets.classes) < 2:
        raise ShelfmarkError(
            "data: the train split has papers of one label alone: change data.cuts"
        )
    return targets


def calibrate(
    network: NetworkScores, targets: Targets, known: LabelledPapers, held: LabelledPapers
) -> CalibratedNetwork:
    """Fit on validation what makes answers of scores: the temperature, and cross-lists.

    Args:
        network: as it is served.
        targets: the classes and the listed categories.
        known: the training papers, of which the habits of cross-listing are learnt.
        held: papers of validation.
    """
    scores = network.scores(held.texts)
    classes = len(targets.classes)
    margins = scores[:, :classes]
    temperature = temperature_of(margins, held.targets)
    probabilities = softmax_rows(margins / np.float32(temperature))
    logger.info("temperature: {:.2f}", temperature)
    lists = CrossLists.learn(targets, known.targets, known.membership)
    fitted = lists.fit_if_possible(scores[:, classes:], probabilities, held.membership.toarray())
    return CalibratedNetwork(network, classes, temperature, fitted)
