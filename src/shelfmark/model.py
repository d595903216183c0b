"""The boosted trees: fitted on train, stopped on validation, assembled into one pipeline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from loguru import logger
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier
from xgboost.callback import TrainingCallback

from shelfmark import console, features
from shelfmark.config import Config, ModelConfig
from shelfmark.errors import ShelfmarkError

# Called after each round with its number and its losses: {"train": …, "validation": …}.
OnRound = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Fitted:
    """A pipeline from texts to probabilities; column i of them belongs to `classes[i]`."""

    pipeline: Pipeline
    classes: tuple[str, ...]
    seconds: dict[str, float]
    rounds: int


def fit(config: Config, train: pa.Table, validation: pa.Table, on_round: OnRound) -> Fitted:
    """Fit features and trees on train; validation, seen through those features, stops the trees.

    Raises:
        ShelfmarkError: the features come out empty, or XGBoost refuses a parameter.
    """
    classes, targets = np.unique(np.asarray(train["label"]), return_inverse=True)
    started = time.perf_counter()
    with console.progress("reading words"):
        steps, known = features.fit(
            config.features, config.model.stack, config.seed, train["text"].to_pylist(), targets
        )
        unseen = features.transform(steps, validation["text"].to_pylist())
    worded = time.perf_counter()
    logger.info("features: {:,} columns of {:,} papers", known.shape[1], known.shape[0])

    booster = _booster(config.model, config.seed, len(classes))
    # A label that train never saw has no number; such papers cannot say when to stop.
    rows = np.flatnonzero(np.isin(np.asarray(validation["label"]), classes))
    answers = np.searchsorted(classes, np.asarray(validation["label"])[rows])
    with console.progress("growing trees", config.model.rounds) as bar:
        booster.set_params(callbacks=[_Watch(bar, on_round)])
        try:
            booster.fit(
                known, targets, eval_set=[(known, targets), (unseen[rows], answers)], verbose=False
            )
        except ValueError as error:
            raise ShelfmarkError(f"model: {_cause(error)}") from error
    booster.set_params(callbacks=None)
    grown = time.perf_counter()
    rounds = booster.best_iteration + 1 if config.model.early_stopping else config.model.rounds
    logger.info("trees: {} rounds kept of {} classes", rounds, len(classes))
    return Fitted(
        Pipeline([*steps, ("booster", booster)]),
        tuple(str(name) for name in classes),
        {"features": round(worded - started, 2), "trees": round(grown - worded, 2)},
        rounds,
    )


def _booster(config: ModelConfig, seed: int, classes: int) -> XGBClassifier:
    settings = config.model_dump(exclude={"stack", "rounds", "early_stopping", "params", "n_jobs"})
    return XGBClassifier(
        **settings,
        n_estimators=config.rounds,
        early_stopping_rounds=config.early_stopping,
        n_jobs=config.n_jobs or os.cpu_count(),
        tree_method="hist",
        eval_metric="mlogloss" if classes > 2 else "logloss",
        random_state=seed,
        **config.params,
    )


def _cause(error: ValueError) -> str:
    """Return the line of XGBoost's error that says what was wrong, without its stack."""
    lines = [line for line in str(error).splitlines() if line and "Stack trace" not in line]
    return lines[0].rpartition("] ")[2] if lines else "XGBoost failed"


class _Watch(TrainingCallback):
    """Moves the progress bar and reports the losses of each round."""

    def __init__(self, bar: console.Bar, on_round: OnRound) -> None:
        super().__init__()
        self._bar = bar
        self._on_round = on_round

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        names = ("train", "validation")
        losses = {
            name: float(next(iter(metrics.values()))[-1])
            for name, metrics in zip(names, evals_log.values(), strict=True)
        }
        self._bar.advance()
        self._on_round(epoch, losses)
        return False
