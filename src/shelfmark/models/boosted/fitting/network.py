"""The network of a stack, cross-fitted: a training paper is scored by one that did not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from loguru import logger

from shelfmark.config.models import NetworkConfig, StackConfig
from shelfmark.config.schema import Config
from shelfmark.core.arrays import Floats, Ints
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.data.labels import Targets
from shelfmark.data.splits import PaperGroups, read_rows
from shelfmark.models.boosted.features import join_blocks
from shelfmark.models.boosted.fitting.joined import JoinedFeatures
from shelfmark.models.boosted.network import NetworkBlock
from shelfmark.models.boosted.stacking import folds_of
from shelfmark.models.transformer.fitting.network import encode_frozen, fit_network
from shelfmark.models.transformer.fitting.papers import LabelledPapers
from shelfmark.models.transformer.fitting.task import NetworkTask
from shelfmark.models.transformer.network import NetworkScores


@dataclass(frozen=True)
class CrossFittedNetwork:
    """The result of a cross-fit.

    Args:
        block: with the network of all papers.
        scores: of the training papers, by networks that did not see them, (papers, columns).
    """

    block: NetworkBlock
    scores: Floats

    def join(
        self, known: JoinedFeatures, unseen: sp.csr_matrix, texts: Sequence[str]
    ) -> tuple[JoinedFeatures, sp.csr_matrix]:
        """Return the features of training papers and of validation, the scores as last columns.

        Args:
            known: of the training papers.
            unseen: of papers of validation, shape (papers, columns).
            texts: of these.
        """
        joined = join_blocks([known.features, self.scores])
        return replace(known, features=joined), join_blocks([unseen, self.block.scores(texts)])


def cross_fit_network(
    config: Config,
    stack: StackConfig,
    targets: Targets,
    train: PaperGroups,
    papers: Ints,
    stopping: LabelledPapers,
    checkpoint: Checkpoint,
) -> CrossFittedNetwork:
    """Fit a network on all papers, and one without each fold, for the scores of the fold.

    Args:
        config: of the training.
        stack: its section of the stack, with a network and folds.
        targets: the classes and the listed categories.
        train: the training papers, of which those in `papers` are read.
        papers: the numbers of those that are scored, rising.
        stopping: papers of validation that stop each network.
        checkpoint: keeps finished networks and scores.

    Raises:
        ShelfmarkError: as `fit_network`.
    """
    settings = stack.scorers.transformer
    assert settings is not None
    assert stack.folds is not None
    table = read_rows(train, papers, ["text", "label", "categories"])
    known = LabelledPapers(
        table["text"].to_pylist(), targets.encode(table), targets.membership_rows(table)
    )
    work = _CrossFit(config, settings, len(targets.classes), known, stopping, checkpoint)
    fold = folds_of(known.targets, stack.folds, config.seed)
    scores = np.empty((len(known), len(targets.classes) + len(targets.listed)), np.float32)
    for number in range(stack.folds):
        score = partial(work.score_fold, fold, number)
        scores[fold == number] = checkpoint.compute_once(f"network-scores-{number}", score)
        logger.info("network: fold {} of {} scored", number + 1, stack.folds)
    network = work.fit(np.arange(len(known)), "network-whole")
    return CrossFittedNetwork(NetworkBlock.of_scores(network, scores), scores)


class _CrossFit:
    """The fits of a network on parts of some papers.

    Args:
        config: of the training.
        settings: of the network.
        classes: number of classes.
        known: the papers.
        stopping: papers of validation.
        checkpoint: keeps finished networks.
    """

    def __init__(
        self,
        config: Config,
        settings: NetworkConfig,
        classes: int,
        known: LabelledPapers,
        stopping: LabelledPapers,
        checkpoint: Checkpoint,
    ) -> None:
        self._config = config
        self._settings = settings
        self._classes = classes
        self._known = known
        self._stopping = stopping
        self._checkpoint = checkpoint
        self._means: tuple[Floats, Floats] | None = None  # of a frozen encoder, known and stopping
        if settings.tuned_layers == 0:  # the same encoder in all networks: its rows are made once
            whole = partial(encode_frozen, self._task(np.arange(len(known))))
            self._means = checkpoint.compute_once("network-rows", whole)

    def score_fold(self, fold: Any, number: int) -> Floats:
        """Return the scores of the papers of a fold, by a network of the others."""
        network = self.fit(np.flatnonzero(fold != number), f"network-{number}")
        held = np.flatnonzero(fold == number)
        if self._means is not None:
            return network.scores_of(self._means[0][held])
        return network.scores([self._known.texts[row] for row in held])

    def fit(self, rows: Ints, name: str) -> NetworkScores:
        """Return the network of the papers in some rows.

        Args:
            rows: of which at most as many are drawn as the network reads.
            name: of the stage that keeps it.
        """
        most = self._settings.papers
        if most is not None and len(rows) > most:
            rows = np.sort(np.random.default_rng(self._config.seed).choice(rows, most, False))
        network: NetworkScores = self._checkpoint.compute_once(name, partial(self._fit, rows, name))
        return network

    def _fit(self, rows: Ints, name: str) -> NetworkScores:
        task = self._task(rows)
        if self._means is not None:
            task = replace(task, vectors=(self._means[0][rows], self._means[1]))
        states = self._checkpoint.nest_stage(name)
        states.folder.mkdir(parents=True, exist_ok=True)
        return fit_network(task, _ignore_epoch, states).scores

    def _task(self, rows: Ints) -> NetworkTask:
        return NetworkTask(
            config=self._settings,
            section=self._config.model.network_section,
            seed=self._config.seed,
            classes=self._classes,
            train=self._known.take(rows),
            stopping=self._stopping,
            threads=self._config.model.n_jobs,
            level="DEBUG",  # six trainings would write a page
        )


def _ignore_epoch(epoch: int, figures: dict[str, float]) -> None:
    """Record nothing: the rounds of the trees are those of the training."""
