"""The model: fitted on train, stopped and calibrated on validation, assembled into one pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from loguru import logger
from scipy import sparse as sp
from scipy.special import softmax

from shelfmark.arxiv.taxonomy import archive_of
from shelfmark.config.models import BoostedConfig
from shelfmark.config.schema import Config
from shelfmark.core import console
from shelfmark.core.arrays import Floats, Indicator, Ints
from shelfmark.core.checkpoint import Checkpoint, temporary_checkpoint
from shelfmark.data.labels import Targets, learn_targets
from shelfmark.data.splits import PaperGroups, as_groups
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import features
from shelfmark.models.boosted.boosting import BoostingRun, Rows
from shelfmark.models.boosted.classifier import BoostedClassifier
from shelfmark.models.boosted.decision import CalibratedClassifier
from shelfmark.models.boosted.fitting.engine import LOCAL, WORDS, Engine
from shelfmark.models.boosted.fitting.joined import JoinedFeatures, fit_joined
from shelfmark.models.boosted.fitting.rows import PaperLabels
from shelfmark.models.boosted.fitting.space import require_space
from shelfmark.models.boosted.fitting.validation import ValidationPapers
from shelfmark.models.boosted.fitting.vocabulary import fit_fields
from shelfmark.models.boosted.fitting.voters import find_voters, open_encoder
from shelfmark.models.boosted.heads import Grow, Head, LinearHead, RerankerHead, TreeHead
from shelfmark.models.boosted.pipeline import TextPipeline
from shelfmark.models.boosted.stacking import CrossFittedScores
from shelfmark.models.boosted.votes import NeighbourVotes
from shelfmark.models.calibration.cross_lists import CrossLists
from shelfmark.models.calibration.temperature import minimise_loss, temperature_of
from shelfmark.models.protocol import Fitted, RoundCallback
from shelfmark.models.transformer.family import prepare_fit
from shelfmark.models.transformer.fitting.papers import LabelledPapers

if TYPE_CHECKING:
    from shelfmark.models.boosted.fitting.network import CrossFittedNetwork

MOST_STOPPING = 1 << 16  # papers of validation that stop the trees: each round measures them all
MOST_POOLED = 1 << 14  # papers of validation whose votes are counted: each reads all that vote


def fit_model(
    config: Config,
    train: PaperGroups | pa.Table,
    validation: PaperGroups | pa.Table,
    callback: RoundCallback,
    checkpoint: Checkpoint | None = None,
    engine: Engine | None = None,
) -> Fitted:
    """Fit features and classifier on train; validation stops the trees and calibrates.

    Args:
        config: what to fit.
        train: papers with text, label and categories, read group by group.
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
    engine, train, validation = engine or LOCAL, as_groups(train), as_groups(validation)
    encoder = open_encoder(config)
    targets, labels = _learn_labels(config, train)
    held = ValidationPapers.of(validation, targets)
    seconds: dict[str, float] = {}
    with _time_step(seconds, "features"):
        steps, joined = _features(config, targets, labels, train, checkpoint, engine)
        unseen = held.transform(steps, engine.budget)
    network = _fit_network(config, targets, train, joined.papers, held, checkpoint, seconds)
    if network is not None:
        joined, unseen = network.join(joined, unseen, held.texts(slice(None)))
    with _time_step(seconds, "trees"):
        run = BoostingRun(_settings(config), config.seed, checkpoint, callback)
        known = joined.features, labels.targets[joined.papers].astype(np.int64)
        head = _fit_head(config, targets, known, (unseen, held.targets), partial(engine.grow, run))
    details: dict[str, Any] = {"rounds": head.rounds}
    pipeline = TextPipeline([*steps, ("decision", _calibrate(head, held.targets, unseen))])
    pipeline.network_ = network.block if network else None
    votes = None
    if encoder is not None:
        with _time_step(seconds, "votes"):
            votes = find_voters(encoder, config, targets, train)
        details |= {"encoder": encoder.name, "encoder_digest": encoder.digest}
    _fit_answers(pipeline, votes, targets, labels, held, unseen)
    return Fitted(BoostedClassifier(pipeline, targets.classes), targets, details, seconds)


def _fit_head(config: Config, targets: Targets, known: Rows, unseen: Rows, grow: Grow) -> Head:
    """Return the fitted head; a sample of the papers of validation stops its trees.

    Trees that re-rank learn nothing from a few papers. Then the scores answer alone.
    """
    head = _make_head(config, targets)
    features, answers = unseen
    stopping = _sample(len(answers), MOST_STOPPING)
    features, answers = features[stopping], answers[stopping]
    head.fit(known, (features, answers), grow)
    logger.info("trees: {} rounds kept of {} classes", head.rounds, head.classes)
    if isinstance(head, RerankerHead):
        scores = LinearHead(head.classes)
        own, alone = (minimise_loss(one.margins(features), answers)[1] for one in (head, scores))
        if own > alone:
            logger.warning(
                "the model has no trees: a log loss of {:.2f} on validation, instead of {:.2f} by "
                "the scores that they re-rank; {:,} papers taught them",
                own, alone, len(known[1]),
            )  # fmt: skip
            return scores
    return head


def _learn_labels(config: Config, train: PaperGroups) -> tuple[Targets, PaperLabels]:
    """Return the classes and the listed categories, and those of each training paper."""
    stack, table = _settings(config).stack, train.read(["label", "categories"])
    limits = (stack.min_listed, stack.max_listed) if stack else (None, None)
    targets = learn_targets(table, config.data, *limits)
    if len(targets.classes) < 2:
        raise ShelfmarkError(
            "data: the train split has papers of one label alone: change data.cuts"
        )
    own = targets.encode(table).astype(np.int32)
    return targets, PaperLabels(own, len(targets.classes), targets.membership_rows(table))


def _settings(config: Config) -> BoostedConfig:
    assert isinstance(config.model, BoostedConfig)
    return config.model


def _features(
    config: Config,
    targets: Targets,
    labels: PaperLabels,
    train: PaperGroups,
    checkpoint: Checkpoint,
    engine: Engine,
) -> tuple[features.Steps, JoinedFeatures]:
    settings, stack = _settings(config), _make_stack(config, targets)
    require_space(config, sum(train.groups), labels.columns, stack, checkpoint)
    with console.progress("reading words"):
        fields = checkpoint.compute_once(
            WORDS, lambda: fit_fields(config.features, train, labels, checkpoint, engine)
        )
    rows = engine.make_rows(fields, train, labels, checkpoint, config.seed)
    # The other heads read the scores alone.
    chosen = config.features.chosen_terms if settings.classifier == "trees" else 0
    with console.progress("fitting linear models"):
        joined = fit_joined(chosen, stack, rows, checkpoint, engine)
    columns = joined.features.shape[1]
    logger.info("features: {:,} columns of {:,} papers", columns, len(joined.papers))
    return [("words", fields), ("joined", joined.union)], joined


def _fit_network(
    config: Config,
    targets: Targets,
    train: PaperGroups,
    papers: Ints,
    held: ValidationPapers,
    checkpoint: Checkpoint,
    seconds: dict[str, float],
) -> CrossFittedNetwork | None:
    """Return the network of the stack, None without one.

    Raises:
        ShelfmarkError: as `cross_fit_network`, or a library is missing.
    """
    stack = _settings(config).stack
    if stack is None or stack.scorers.transformer is None:
        return None
    prepare_fit(stack.scorers.transformer)
    from shelfmark.models.boosted.fitting.network import cross_fit_network  # needs PyTorch

    some = _sample(len(held.targets), stack.scorers.transformer.stopping_papers)
    membership = sp.csr_matrix(held.membership[some])
    stopping = LabelledPapers(held.texts(some), held.targets[some], membership)
    with _time_step(seconds, "network"):
        return cross_fit_network(config, stack, targets, train, papers, stopping, checkpoint)


def _make_stack(config: Config, targets: Targets) -> CrossFittedScores | None:
    """Return the scores that the configuration asks for, unfitted; None if it asks for none."""
    stack = _settings(config).stack
    if stack is None:
        return None
    return CrossFittedScores(
        features.scorers(stack, config.seed),
        len(targets.classes),
        stack.folds,
        config.seed,
        stack.papers,
    )


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
    if settings.stack.scorers.transformer is not None:
        blocks.append(start)
    return RerankerHead(
        count,
        settings.candidates,
        blocks,
        [count + x if x >= 0 else -1 for x in listed],
        groups,
    )


def _calibrate(head: Head, targets: Ints, unseen: Any) -> CalibratedClassifier:
    """Return the decision of a head, whose temperature is chosen on validation."""
    return CalibratedClassifier(head, temperature_of(head.margins(unseen), targets))


def _fit_answers(
    pipeline: TextPipeline,
    votes: NeighbourVotes | None,
    targets: Targets,
    labels: PaperLabels,
    held: ValidationPapers,
    unseen: Any,
) -> None:
    """Fit on validation what makes answers of margins: the pool of votes, and cross-lists."""
    sample = slice(None)
    if votes is None:
        margins = pipeline[-1].decision_function(unseen)
    else:
        sample = _sample(len(held.targets), MOST_POOLED)
        unseen = unseen[sample]
        margins = _fit_votes(pipeline, votes, unseen, held, sample)
    probabilities = np.asarray(softmax(margins, axis=1), np.float32)
    _fit_cross_lists(pipeline, targets, labels, unseen, held.membership[sample], probabilities)


def _fit_votes(
    pipeline: TextPipeline,
    votes: NeighbourVotes,
    unseen: Any,
    held: ValidationPapers,
    sample: slice,
) -> Floats:
    """Pool the votes of training papers with the margins; a sample of validation fits the weights.

    Returns:
        The pooled margins of the sample, shape (papers, classes).
    """
    margins, shares = pipeline[-1].decision_function(unseen), votes.log_shares(held.texts(sample))
    pipeline.votes_ = votes.fit(margins, shares, held.targets[sample])
    logger.info(
        "votes of {:,} papers: weight {:.2f}, that of the margins {:.2f}",
        len(votes.rows),
        votes.vote_weight_,
        votes.margin_weight_,
    )
    return votes.combine(margins, shares)


def _fit_cross_lists(
    pipeline: TextPipeline,
    targets: Targets,
    labels: PaperLabels,
    unseen: Any,
    membership: Indicator,
    probabilities: Floats,
) -> None:
    """Fit the suggestions of cross-lists on papers of validation, if there is something to learn.

    Args:
        pipeline: that suggests them.
        targets: the classes and the listed categories.
        labels: of the training papers.
        unseen: the features of papers of validation, shape (papers, columns).
        membership: 1 where a paper has a listed category, shape (papers, listed).
        probabilities: of the classes of each paper, shape (papers, classes).
    """
    lists = CrossLists.learn(targets, labels.targets, labels.listed)
    scores = lists.scores_in(unseen)
    pipeline[-1].cross_lists = lists.fit_if_possible(scores, probabilities, membership)


def _sample(papers: int, most: int) -> slice:
    """Return the places of at most so many papers, evenly spaced."""
    return slice(None, None, -(-papers // most))


@contextmanager
def _time_step(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 2)
