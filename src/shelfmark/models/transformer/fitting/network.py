"""One network, from papers to the scores that are served: base, training, export."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from loguru import logger

from shelfmark.core.arrays import Floats
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.embeddings.pretrained.training import choose_device
from shelfmark.embeddings.protocol import EpochCallback
from shelfmark.models.transformer.fitting.bases import Base, load_base
from shelfmark.models.transformer.fitting.export import ExportedGraph
from shelfmark.models.transformer.fitting.module import (
    Network,
    balanced_weights,
    freeze_layers,
)
from shelfmark.models.transformer.fitting.profile import StepProfiler
from shelfmark.models.transformer.fitting.task import NetworkTask
from shelfmark.models.transformer.fitting.training import (
    PaperDataset,
    TokenDataset,
    VectorDataset,
    train_network,
)
from shelfmark.models.transformer.network import NetworkScores

PARITY_TEXTS = 100  # papers whose rows the exported graph must reproduce
TRAINER = "trainer"  # the folder of its checkpoints


@dataclass(frozen=True)
class FittedNetwork:
    """A network that is ready to be served.

    Args:
        scores: of texts.
        details: for the card.
        seconds: the time of each part of the fit.
        profile: its files, by their names.
    """

    scores: NetworkScores
    details: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    profile: dict[str, bytes] = field(default_factory=dict)


def fit_network(
    task: NetworkTask, callback: EpochCallback, checkpoint: Checkpoint
) -> FittedNetwork:
    """Fit a network, and export it.

    Args:
        task: what it is fitted on.
        callback: called after each epoch.
        checkpoint: keeps the trainer's own checkpoints.

    Raises:
        ShelfmarkError: the base is no encoder, the loss is not finite, or the exported graph
            differs from the trained one.
    """
    torch.set_num_threads(task.threads or os.cpu_count() or 1)
    torch.manual_seed(task.seed)
    work = _Fit(task)  # before there is a folder: most mistakes show here
    folder = checkpoint.folder / TRAINER
    folder.mkdir(exist_ok=True)
    loss = work.tune(folder, callback) if work.tunes else work.fit_layer(folder, callback)
    return work.finish(loss)


def encode_frozen(task: NetworkTask) -> tuple[Floats, Floats]:
    """Return the mean rows of both parts of a task, float32 of shape (papers, size).

    Raises:
        ShelfmarkError: as `fit_network`.
    """
    torch.set_num_threads(task.threads or os.cpu_count() or 1)
    torch.manual_seed(task.seed)
    train, stopping = _Fit(task).encode()
    return train, stopping


class _Fit:
    """The steps of one fit, which are timed.

    Args:
        task: what the network is fitted on.
    """

    def __init__(self, task: NetworkTask) -> None:
        self._task = task
        self._seconds: dict[str, float] = {}
        self._details: dict[str, Any] = {}
        self._exported: ExportedGraph | None = None
        self._profiler = StepProfiler() if task.profile else None
        with self._time("base"):
            self._base = self._load()
        freeze_layers(self._base, task.config.tuned_layers)
        self._network = self._make_network()

    @property
    def tunes(self) -> bool:
        """Whether any layer of the encoder is tuned."""
        return self._task.config.tuned_layers != 0

    def _load(self) -> Base:
        base = load_base(self._task.config, self._task.section, self._task.train.texts)
        count = sum(one.numel() for one in base.encoder.parameters())
        self._details |= {
            "parameters": count,
            "layers": len(base.layers),
            "size": base.size,
            "device": choose_device(),
        }
        return base

    def _make_network(self) -> Network:
        task, weights = self._task, None
        if task.config.class_weight == "balanced":
            weights = balanced_weights(task.train.targets, task.classes)
        listed = task.train.membership.shape[1]
        return Network(self._base, task.config, task.classes, listed, weights)

    def tune(self, folder: Path, callback: EpochCallback) -> float:
        """Tune the encoder and the linear layer, and export the encoder; return the log loss."""
        config, tokenizer = self._task.config, self._base.tokenizer
        train, stopping = (
            TokenDataset(papers, tokenizer, config.max_tokens)
            for papers in (self._task.train, self._task.stopping)
        )
        share = train.cut / len(train)
        text = "{:.0%} of the texts are longer than {} tokens: the rest of each is not read"
        logger.log(self._task.level, text, share, config.max_tokens)
        loss = self._train(train, stopping, folder, callback)
        self._export()
        return loss

    def fit_layer(self, folder: Path, callback: EpochCallback) -> float:
        """Fit the linear layer alone, on the rows of the graph that is served."""
        train, stopping = map(VectorDataset, (self._task.train, self._task.stopping), self.encode())
        return self._train(train, stopping, folder, callback)

    def encode(self) -> Sequence[Floats]:
        """Return the mean rows of the papers, by the graph that is served; it is exported."""
        exported = self._export()
        with self._time("vectors"):
            return self._task.vectors or [
                exported.mean_rows(one.texts, self._task.threads)
                for one in (self._task.train, self._task.stopping)
            ]

    def _train(
        self, train: PaperDataset, stopping: PaperDataset, folder: Path, callback: EpochCallback
    ) -> float:
        with self._time("training"):
            return train_network(
                self._network, train, stopping, self._task, self._base.padding, folder, callback,
                self._profiler,
            )  # fmt: skip

    def _export(self) -> ExportedGraph:
        with self._time("export"):
            texts = [text for text in self._task.stopping.texts if text.strip()][:PARITY_TEXTS]
            self._exported = ExportedGraph(self._base, self._task.config, texts, self._task.level)
        return self._exported

    def finish(self, loss: float) -> FittedNetwork:
        """Return the network as it is served."""
        task, exported = self._task, self._exported
        assert exported is not None
        weights, intercept = self._network.linear_layer()
        scores = NetworkScores(
            exported.content, exported.tokenizer, task.config.max_tokens, weights, intercept,
            task.threads,
        )  # fmt: skip
        details = {
            **self._details,
            "papers": len(task.train),
            "log_loss": round(loss, 4),
            "parity": exported.parity,
        }
        seconds = {name: round(value, 2) for name, value in self._seconds.items()}
        profile = self._profiler.files() if self._profiler else {}
        return FittedNetwork(scores, details, seconds, profile)

    @contextlib.contextmanager
    def _time(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[name] = time.perf_counter() - started
