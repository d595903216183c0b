"""The contrastive training of a static encoder, by stochastic gradients in NumPy and SciPy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from loguru import logger

from shelfmark.config.encoders import StaticConfig
from shelfmark.core import console
from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.embeddings.protocol import EpochCallback
from shelfmark.embeddings.static.losses import attract_to_categories, contrast_pairs
from shelfmark.embeddings.static.pairs import (
    Batch,
    Papers,
    dense_rows,
    draw_batches,
    drop_terms,
)
from shelfmark.embeddings.static.vectors import scale_rows, through_scaling

FIRST_SQUARES = 1e-10  # of a row that has had no gradient yet
CENTRE_RATE = 3.0  # step of a category's centre beside that of a term


@dataclass
class Table:
    """The vectors of terms or of categories, and the squares of their gradients so far.

    A row's step follows the mean square of its gradients (AdaGrad with one number a row), so that
    only the rows of a batch are touched. Source: Duchi et al. 2011, JMLR 12.

    Args:
        rows: float32 of shape (rows, size).
        squares: the sum of the mean squares of each row's gradients.
    """

    rows: Floats
    squares: Floats

    @classmethod
    def of(cls, rows: Floats) -> Table:
        """Return the table of rows that have had no gradient."""
        return cls(rows, np.full(len(rows), FIRST_SQUARES, np.float32))

    def step(self, used: Array, gradient: Floats, rate: float) -> None:
        """Move some rows against their gradient."""
        self.squares[used] += np.einsum("ij,ij->i", gradient, gradient) / gradient.shape[1]
        gradient *= (rate / np.sqrt(self.squares[used]))[:, None].astype(np.float32)
        self.rows[used] -= gradient


@dataclass
class Trainer:
    """One training: its tables, and what they learn from.

    Args:
        config: the settings.
        papers: the training papers.
        terms: the table of the terms.
        centres: the table of the categories' centres.
        seed: of the order, the partners and the dropped terms.
    """

    config: StaticConfig
    papers: Papers
    terms: Table
    centres: Table
    seed: int

    def __post_init__(self) -> None:
        self._place = np.zeros(len(self.terms.rows), np.int32)

    def run_epoch(self, epoch: int) -> float:
        """Train on all pairs once, and return the mean loss of the pairs."""
        config, rng = self.config, np.random.default_rng([self.seed, epoch])
        batches = draw_batches(self.papers, config, rng)
        losses = []
        with console.progress(f"epoch {epoch + 1} of {config.epochs}", len(batches)) as bar:
            for number, make_batch in enumerate(batches):
                done = (epoch + number / len(batches)) / config.epochs
                losses.append(self._step(make_batch(), config.learning_rate * (1 - done), rng))
                bar.advance(1)
        return float(np.mean(losses))

    def _step(self, batch: Batch, rate: float, rng: np.random.Generator) -> float:
        config = self.config
        sides = [batch.left, batch.right]
        if config.dropout is not None:
            sides = [drop_terms(side, config.dropout, rng) for side in sides]
        used, (left, right) = self._narrow(sides)
        rows = self.terms.rows[used]
        sums = [left @ rows, right @ rows]
        (a, a_length), (b, b_length) = map(scale_rows, sums)
        loss = contrast_pairs(a, b, config.scale)
        slopes = [through_scaling(loss.left, a, a_length), through_scaling(loss.right, b, b_length)]
        if config.category_weight:
            for slope, vectors, papers in zip(slopes, sums, batch.papers, strict=True):
                slope += self._attract(vectors, papers, rate)
        self.terms.step(used, left.T @ slopes[0] + right.T @ slopes[1], rate)
        return loss.value

    def _narrow(self, sides: list[sp.csr_matrix]) -> tuple[Array, list[sp.csr_matrix]]:
        """Return the terms of a batch, and its counts over these alone."""
        seen = np.zeros(len(self._place), np.bool_)
        for side in sides:
            seen[side.indices] = True
        used = np.flatnonzero(seen)
        self._place[used] = np.arange(len(used), dtype=np.int32)
        return used, [
            sp.csr_matrix(
                (side.data, self._place[side.indices], side.indptr), (side.shape[0], len(used))
            )
            for side in sides
        ]

    def _attract(self, sums: Floats, papers: Ints, rate: float) -> Floats:
        """Move the centres, and return the gradient of the categories' loss by the sums of texts.

        A title is drawn to the categories of its paper as well as an abstract is.
        """
        targets = dense_rows(self.papers.categories, papers)
        units, lengths = scale_rows(sums)
        centres, centre_lengths = scale_rows(self.centres.rows)
        loss = attract_to_categories(units, centres, targets, self.config.scale)
        weight = np.float32(self.config.category_weight)
        moved = through_scaling(weight * loss.centres, centres, centre_lengths)
        self.centres.step(np.arange(len(moved)), moved, CENTRE_RATE * rate)
        return through_scaling(weight * loss.vectors, units, lengths)


def train_table(
    config: StaticConfig,
    papers: Papers,
    start: Floats,
    seed: int,
    checkpoint: Checkpoint | None,
    callback: EpochCallback,
) -> tuple[Floats, dict[str, float]]:
    """Train the vectors of the terms from a start, and return them and the seconds it took.

    Each epoch is a stage of the checkpoint: a training that was killed goes on after the last one.

    Args:
        config: the settings.
        papers: the training papers.
        start: the vectors before the training, shape (terms, size); they are changed.
        seed: of all randomness.
        checkpoint: where finished epochs are saved; None to save none.
        callback: called after each epoch with the mean loss.
    """
    rng = np.random.default_rng([seed, config.epochs])
    size = start.shape[1]
    centres = rng.standard_normal((papers.categories.shape[1], size), np.float32)
    trainer = Trainer(config, papers, Table.of(start), Table.of(centres), seed)
    begin, first = time.perf_counter(), 0
    state = checkpoint.load("epochs") if checkpoint is not None else None
    if state is not None:
        first = _restore(trainer, state)
        logger.info("epochs 1 to {}: read from the checkpoint", first)
    for epoch in range(first, config.epochs):
        loss = trainer.run_epoch(epoch)
        if checkpoint is not None:
            checkpoint.save("epochs", _state_of(trainer, epoch + 1))
        callback(epoch, {"train": loss})
    return trainer.terms.rows, {"epochs": time.perf_counter() - begin}


def _state_of(trainer: Trainer, epochs: int) -> dict[str, Any]:
    tables = {"terms": trainer.terms, "centres": trainer.centres}
    return {"epochs": epochs} | {name: vars(table) for name, table in tables.items()}


def _restore(trainer: Trainer, state: dict[str, Any]) -> int:
    """Set the tables to those of a checkpoint, and return the epochs that are done."""
    trainer.terms = Table(**{name: np.array(values) for name, values in state["terms"].items()})
    trainer.centres = Table(**{name: np.array(values) for name, values in state["centres"].items()})
    return int(state["epochs"])
