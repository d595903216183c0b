"""The model: fitted on train, stopped and calibrated on validation, assembled into one pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from loguru import logger

from shelfmark.arxiv.taxonomy import archive_of
from shelfmark.config.schema import BoostedConfig, Config
from shelfmark.core import console
from shelfmark.core.arrays import Array
from shelfmark.core.checkpoint import Checkpoint, temporary_checkpoint
from shelfmark.data.labels import Targets, learn_targets
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import features
from shelfmark.models.boosted.boosting import BoostingRun
from shelfmark.models.boosted.classifier import BoostedClassifier
from shelfmark.models.boosted.decision import CalibratedClassifier, CrossLists, temperature_of
from shelfmark.models.boosted.fitting.engine import LOCAL, Engine
from shelfmark.models.boosted.fitting.voters import find_voters, open_encoder
from shelfmark.models.boosted.heads import Head, LinearHead, RerankerHead, TreeHead
from shelfmark.models.boosted.pipeline import TextPipeline
from shelfmark.models.boosted.stacking import CrossFittedScores
from shelfmark.models.boosted.votes import NeighbourVotes
from shelfmark.models.protocol import Fitted, RoundCallback


def fit_model(
    config: Config,
    train: pa.Table,
    validation: pa.Table,
    callback: RoundCallback,
    checkpoint: Checkpoint | None = None,
    engine: Engine | None = None,
) -> Fitted:
    """Fit features and classifier on train; validation stops the trees and calibrates.

    Args:
        config: what to fit.
        train: papers with text, label and categories.
        validation: papers not trained on.
        callback: called after each round of trees.
        checkpoint: where finished stages are saved and resumed; None to save none.
        engine: does the work; None for this machine.

    Raises:
        ShelfmarkError: no feature is left, XGBoost refuses a parameter, the splits share no labels
            to learn, or the encoder of the neighbours cannot be used.
    """
    if checkpoint is None:
        with temporary_checkpoint() as checkpoint:
            return fit_model(config, train, validation, callback, checkpoint, engine)
    engine = engine or LOCAL
    stack = _settings(config).stack
    encoder = open_encoder(config)
    targets = learn_targets(train, config.data, stack.min_listed if stack else None)
    validation = _drop_unknown_labels(validation, targets)
    seconds: dict[str, float] = {}
    with _time_step(seconds, "features"):
        steps, known = _features(config, targets, train, checkpoint, engine)
        unseen = features.transform(steps, validation["text"].to_pylist())
    head = _make_head(config, targets)
    with _time_step(seconds, "trees"):
        run = BoostingRun(_settings(config), config.seed, checkpoint, callback)
        rows = (known, targets.encode(train)), (unseen, targets.encode(validation))
        head.fit(*rows, partial(engine.grow, run))
    rounds = head.booster_.num_boosted_rounds() if head.booster_ else 0
    logger.info("trees: {} rounds kept of {} classes", rounds, len(targets.classes))
    pipeline = TextPipeline([*steps, ("decision", _calibrate(head, targets, validation, unseen))])
    details: dict[str, Any] = {"rounds": rounds}
    if encoder is not None:
        with _time_step(seconds, "votes"):
            votes = find_voters(encoder, config, targets, train)
            _fit_votes(pipeline, votes, targets, validation, unseen)
        details |= {"encoder": encoder.name, "encoder_digest": encoder.digest}
    _fit_cross_lists(pipeline, targets, train, validation, unseen)
    return Fitted(BoostedClassifier(pipeline, targets.classes), targets, details, seconds)


def _settings(config: Config) -> BoostedConfig:
    assert isinstance(config.model, BoostedConfig)
    return config.model


def _drop_unknown_labels(validation: pa.Table, targets: Targets) -> pa.Table:
    """Return the validation papers that can stop the trees: those of a label in train."""
    if len(targets.classes) < 2:
        raise ShelfmarkError(
            "data: the train split has papers of one label alone: change data.cuts"
        )
    known = validation.filter(pa.array(targets.encode(validation) >= 0))
    if not known.num_rows:
        raise ShelfmarkError("data: validation has no paper of a label in train: change data.cuts")
    return known


def _features(
    config: Config, targets: Targets, train: pa.Table, checkpoint: Checkpoint, engine: Engine
) -> tuple[features.Steps, sp.csr_matrix]:
    with console.progress("reading words"):
        texts = train["text"].to_pylist()
        fields, *parts = checkpoint.compute_once(
            "words", lambda: _apart(*features.fit_words(config.features, texts, engine))
        )
        words = _together(*parts)
    settings, stack = _settings(config), None
    if settings.stack is not None:
        scorers = features.scorers(settings.stack, config.seed)
        stack = CrossFittedScores(scorers, len(targets.classes), settings.stack.folds, config.seed)
    # The other heads read the scores alone.
    chosen = config.features.chosen_terms if settings.classifier == "trees" else 0
    with console.progress("fitting linear models"):
        joined, known = features.fit_rest(
            chosen,
            stack,
            words,
            targets.indicator(train),
            targets.encode(train),
            checkpoint,
            engine,
        )
    logger.info("features: {:,} columns of {:,} papers", known.shape[1], known.shape[0])
    return [("words", fields), ("joined", joined)], known


def _apart(fields: features.FastFeatureUnion, words: sp.csr_matrix) -> tuple[Any, ...]:
    """Return what a checkpoint can hold of the result of `features.fit_words`."""
    return fields, words.data, words.indices, words.indptr, tuple(map(int, words.shape))


def _together(data: Array, indices: Array, indptr: Array, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return the rows whose arrays a checkpoint holds."""
    words = sp.csr_matrix((data, indices, indptr), shape)
    words.check_format(full_check=True)
    return words


def _make_head(config: Config, targets: Targets) -> Head:
    """Return the head that the configuration asks for, unfitted."""
    count, settings = len(targets.classes), _settings(config)
    if settings.classifier == "trees":
        return TreeHead(count)
    if settings.classifier == "linear":
        return LinearHead(count)
    assert settings.stack is not None
    listed = [targets.listed.index(x) if x in targets.listed else -1 for x in targets.classes]
    archives = [archive_of(x) for x in targets.classes]
    groups = [sorted(set(archives)).index(x) for x in archives]
    width = len(targets.classes) + len(targets.listed)
    blocks = []
    start = 0
    for name, _ in features.scorers(settings.stack, config.seed):
        blocks.append(start)
        start += len(targets.classes) if name == "bayes" else width
    return RerankerHead(
        count,
        settings.candidates,
        blocks,
        [count + x if x >= 0 else -1 for x in listed],
        groups,
    )


def _calibrate(
    head: Head, targets: Targets, validation: pa.Table, unseen: Any
) -> CalibratedClassifier:
    """Return the decision of a head, whose temperature is chosen on validation."""
    return CalibratedClassifier(
        head, temperature_of(head.margins(unseen), targets.encode(validation))
    )


def _fit_votes(
    pipeline: TextPipeline,
    votes: NeighbourVotes,
    targets: Targets,
    validation: pa.Table,
    unseen: Any,
) -> None:
    """Pool the votes of the training papers with the margins; validation fits the weights."""
    margins = pipeline[-1].decision_function(unseen)
    pipeline.votes_ = votes.fit(margins, validation["text"].to_pylist(), targets.encode(validation))
    logger.info(
        "votes of {:,} papers: weight {:.2f}, that of the margins {:.2f}",
        len(votes.rows),
        votes.vote_weight_,
        votes.margin_weight_,
    )


def _fit_cross_lists(
    pipeline: TextPipeline, targets: Targets, train: pa.Table, validation: pa.Table, unseen: Any
) -> None:
    """Fit the suggestions of cross-lists on validation, where there is something to learn."""
    own = [targets.listed.index(x) if x in targets.listed else -1 for x in targets.classes]
    lists = CrossLists(len(targets.classes), targets.listed, own)
    lists.learn_habits(targets.encode(train), targets.membership(train))
    best = pipeline.margins(unseen, validation["text"].to_pylist()).argmax(axis=1)
    membership = targets.membership(validation)
    # There is nothing to learn where all are listed elsewhere, or none.
    if len(np.unique(membership[lists.may_suggest(best)])) > 1:
        pipeline[-1].cross_lists = lists.fit(unseen, best, membership)


@contextmanager
def _time_step(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 2)
