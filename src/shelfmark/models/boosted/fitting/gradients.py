"""The stochastic gradients that fit a low-rank model, wherever its batches come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Array, Floats, Indicator

MEMORY = (0.9, 0.999)  # of Adam's two moments
TINY = np.float32(1e-8)
START = 0.1  # standard deviation of the numbers of a term at first
START_HIDDEN = 0.5  # of what a hidden unit adds to a score, beside its own size


@dataclass(frozen=True)
class TrainerSettings:
    """How a low-rank model is fitted.

    Args:
        size: the rank, numbers per term.
        hidden: units of the hidden layer; None for a linear model.
        learning_rate: first step of the terms.
        label_rate: first step of everything else (Adam).
        dropout: share of a paper's terms left out in a step.
        hidden_dropout: share of the hidden units left out for a paper in a step.
        listed_weight: of a listed category's loss beside the classes'.
        seed: of the start.
    """

    size: int
    hidden: int | None
    learning_rate: float
    label_rate: float
    dropout: float
    hidden_dropout: float
    listed_weight: float
    seed: tuple[int, ...]


class LowRankTrainer:
    """A low-rank model in training.

    A step touches the rows of a batch's terms alone; each row's rate follows the mean square of its
    gradients (AdaGrad with one number a row). Everything else is small and follows Adam.

    Args:
        settings: how it is fitted.
        terms: the number of terms.
        columns: the number of columns of an indicator.
        classes: how many of these are classes, the first ones.
    """

    def __init__(self, settings: TrainerSettings, terms: int, columns: int, classes: int) -> None:
        rng = np.random.default_rng(settings.seed)
        size, hidden = settings.size, settings.hidden
        self._settings = settings
        self._classes = classes
        self.terms = rng.standard_normal((terms, size), np.float32)
        self.terms *= np.float32(START)
        self.weights = {
            "labels": _draw(rng, size, columns, 1.0),
            "intercept": np.zeros(columns, np.float32),
        }
        if hidden is not None:
            self.weights["hidden"] = _draw(rng, size, hidden, 2**0.5)
            self.weights["hidden_labels"] = _draw(rng, hidden, columns, START_HIDDEN)
        self._squares = np.zeros(terms, np.float32)
        self._moments = {name: _Moments.of(values) for name, values in self.weights.items()}
        self._steps = 0
        self._place = np.zeros(terms, np.int32)
        self._seen = np.zeros(terms, np.bool_)

    def step(
        self, features: sp.csr_matrix, indicator: Indicator, left: float, rng: np.random.Generator
    ) -> None:
        """Follow the gradient of some papers.

        Args:
            features: their TF-IDF, float32 of shape (papers, terms).
            indicator: their classes and listed categories, shape (papers, columns).
            left: the share of the training that is left, by which the rates fall.
            rng: of the dropped terms and units.
        """
        self._steps += 1
        used, given = self._narrow(self._drop_terms(features, rng))
        rows = self.terms[used]
        slopes, slope = self._slopes(given @ rows, indicator, rng)
        # A product of rows takes half the time of the same product of columns.
        self._step_terms(used, rows, given.T.tocsr() @ slope, left)
        rate = self._settings.label_rate * left
        for name, gradient in slopes.items():
            self._moments[name].step(self.weights[name], gradient, rate, self._steps)

    def state(self, epochs: int) -> dict[str, Any]:
        """Return the state after some epochs, as a checkpoint holds it."""
        return {
            "epochs": epochs,
            "steps": self._steps,
            "terms": self.terms,
            "squares": self._squares,
            "weights": self.weights,
            "moments": {name: vars(moments) for name, moments in self._moments.items()},
        }

    def restore(self, state: dict[str, Any] | None) -> int:
        """Continue from a state, and return the number of epochs that are done."""
        if state is None:
            return 0
        self.terms, self._squares = np.array(state["terms"]), np.array(state["squares"])
        self.weights = {name: np.array(values) for name, values in state["weights"].items()}
        self._moments = {
            name: _Moments(**{key: np.array(values) for key, values in moments.items()})
            for name, moments in state["moments"].items()
        }
        self._steps = int(state["steps"])
        return int(state["epochs"])

    def _drop_terms(self, features: sp.csr_matrix, rng: np.random.Generator) -> sp.csr_matrix:
        dropout = self._settings.dropout
        kept = rng.random(features.nnz, np.float32) >= dropout
        ends = np.concatenate([[0], np.cumsum(kept, dtype=np.int32)])[features.indptr]
        data = features.data[kept] / np.float32(1 - dropout)
        return sp.csr_matrix((data, features.indices[kept], ends), features.shape)

    def _narrow(self, features: sp.csr_matrix) -> tuple[Array, sp.csr_matrix]:
        """Return the terms that are used, and the features over these alone."""
        self._seen[features.indices] = True
        used = np.flatnonzero(self._seen)
        self._seen[used] = False
        self._place[used] = np.arange(len(used), dtype=np.int32)
        shape = (features.shape[0], len(used))
        place = self._place[features.indices]
        return used, sp.csr_matrix((features.data, place, features.indptr), shape)

    def _slopes(
        self, middle: Floats, indicator: Indicator, rng: np.random.Generator
    ) -> tuple[dict[str, Floats], Floats]:
        """Return the gradients of the loss by the weights, and by the middle layer."""
        weights, hidden, units = self.weights, self._settings.hidden, None
        scores = middle @ weights["labels"]
        scores += weights["intercept"]
        if hidden is not None:
            active = middle @ weights["hidden"]
            gate = self._gate(active, rng)
            units = active * gate
            scores += units @ weights["hidden_labels"]
        slope = self._slope(scores, indicator)
        slopes = {"labels": middle.T @ slope, "intercept": slope.sum(axis=0)}
        by_middle = slope @ weights["labels"].T
        if units is not None:
            by_units = (slope @ weights["hidden_labels"].T) * gate
            slopes |= {"hidden": middle.T @ by_units, "hidden_labels": units.T @ slope}
            by_middle += by_units @ weights["hidden"].T
        return slopes, by_middle

    def _gate(self, active: Floats, rng: np.random.Generator) -> Floats:
        """Return the factor of each unit for each paper: 0 if it is negative or dropped."""
        dropout = self._settings.hidden_dropout
        open_ = active > 0
        open_ &= rng.random(active.shape, np.float32) >= dropout
        return open_ * np.float32(1 / (1 - dropout))

    def _slope(self, scores: Floats, truth: Indicator) -> Floats:
        """Return the gradient of the loss, a mean over the papers, by their scores."""
        classes = self._classes
        slope = np.empty_like(scores)
        own = np.exp(scores[:, :classes] - scores[:, :classes].max(axis=1, keepdims=True))
        slope[:, :classes] = own / own.sum(axis=1, keepdims=True) - truth[:, :classes]
        # The same as 1 / (1 + exp(-x)), without an overflow.
        listed = (1 + np.tanh(scores[:, classes:] / 2)) / 2
        slope[:, classes:] = self._settings.listed_weight * (listed - truth[:, classes:])
        slope /= np.float32(len(scores))
        return slope

    def _step_terms(self, used: Array, rows: Floats, gradient: Floats, left: float) -> None:
        """Move the rows of the used terms against their gradient; both arrays are overwritten."""
        squares = self._squares[used]
        squares += np.einsum("ij,ij->i", gradient, gradient) / np.float32(self._settings.size)
        self._squares[used] = squares
        rates = np.float32(self._settings.learning_rate * left) / (np.sqrt(squares) + TINY)
        gradient *= rates[:, None]
        rows -= gradient
        self.terms[used] = rows


@dataclass
class _Moments:
    """Adam's running moments of a gradient. Source: arXiv:1412.6980."""

    first: Floats
    second: Floats

    @classmethod
    def of(cls, values: Floats) -> _Moments:
        return cls(np.zeros_like(values), np.zeros_like(values))

    def step(self, values: Floats, gradient: Floats, rate: float, number: int) -> None:
        """Update the moments by a gradient, and move values against it."""
        slow, slower = MEMORY
        self.first += np.float32(1 - slow) * (gradient - self.first)
        self.second += np.float32(1 - slower) * (gradient * gradient - self.second)
        scale = (1 - slower**number) ** 0.5 / (1 - slow**number)
        values -= np.float32(rate * scale) * self.first / (np.sqrt(self.second) + TINY)


def _draw(rng: np.random.Generator, rows: int, columns: int, scale: float) -> Floats:
    """Return random weights whose outputs have the given size where the inputs have size 1."""
    drawn: Floats = rng.standard_normal((rows, columns), np.float32)
    return drawn * np.float32(scale * rows**-0.5)
