"""The temperature by which margins are divided, so that their softmax are honest probabilities."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from shelfmark.core.arrays import Doubles, Floats, Ints
from shelfmark.core.parallel import map_threads

BLOCK = 1 << 14  # papers whose margins are turned into doubles at a time


def temperature_of(margins: Floats, targets: Ints) -> float:
    """Return the temperature, from 0.05 to 20, that minimises the log loss of margins."""
    return minimise_loss(margins, targets)[0]


def minimise_loss(margins: Floats, targets: Ints) -> tuple[float, float]:
    """Return the temperature of margins, from 0.05 to 20, of the lowest log loss, and that loss.

    One number cannot overfit a validation split, nor change which class is first. Source: Guo et
    al. 2017, arXiv:1706.04599.
    """

    def log_likelihood(begin: int, scale: float) -> Doubles:
        own = targets[begin : begin + BLOCK]
        rows = margins[begin : begin + BLOCK].astype(np.float64)
        return np.asarray(log_softmax(rows * scale, axis=1)[np.arange(len(own)), own])

    def loss(logarithm: float) -> float:
        work = partial(log_likelihood, scale=np.exp(-logarithm))
        blocks = map_threads(os.cpu_count() or 1, work, range(0, len(targets), BLOCK))
        return float(-np.concatenate(blocks).mean())

    minimum = minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    return float(np.exp(minimum.x)), float(minimum.fun)
