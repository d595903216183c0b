"""Boosted trees, grown round by round, kept on the way, stopped by validation."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import xgboost
from loguru import logger

from shelfmark.config.schema import ModelConfig
from shelfmark.core import console
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.errors import ShelfmarkError

# Called after each round with its number and its losses: {"train": …, "validation": …}.
OnRound = Callable[[int, dict[str, float]], None]

KEPT_EVERY = 25  # rounds
STAGE = "trees"
WHERE = re.compile(r"^\[.*?\] (?:\S+:\d+: )?")  # of its source XGBoost puts before an error
LOSS = re.compile(r"(train|validation)-[\w@-]+:([\d.e+-]+|nan|inf)")

Rows = tuple[Any, Any]  # features of shape (rows, columns), and a target for each row
Slope = Callable[[Any, xgboost.DMatrix], tuple[Any, Any]]
Loss = Callable[[Any, xgboost.DMatrix], tuple[str, float]]


@dataclass(frozen=True)
class Objective:
    """What trees are to do well: one of XGBoost's objectives, or a loss of our own.

    Args:
        parameters: XGBoost's `objective` and what goes with it.
        slope: from margins and data to gradient and hessian, None for XGBoost's own.
        loss: from margins and data to a name and a loss, None for XGBoost's own.
        together: how many rows that follow one another belong together, and are never parted.
    """

    parameters: dict[str, Any]
    slope: Slope | None = None
    loss: Loss | None = None
    together: int = 1


@dataclass(frozen=True)
class Growth:
    """How trees are to be grown, and whom to tell."""

    config: ModelConfig
    seed: int
    stages: Checkpoint
    on_round: OnRound

    def parameters(self, objective: Objective) -> dict[str, Any]:
        """Return XGBoost's parameters: those of the configuration and of an objective."""
        config = self.config
        named = ("max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree",
                 "reg_alpha", "reg_lambda", "max_bin")  # fmt: skip
        return {
            **{name: getattr(config, name) for name in named},
            **objective.parameters,
            "nthread": threads(config),
            "tree_method": "hist",
            "seed": self.seed,
            "seed_per_iteration": True,
            **config.params,
        }

    def matrices(self, train: Rows, validation: Rows) -> tuple[xgboost.DMatrix, xgboost.DMatrix]:
        """Return features and targets of both as XGBoost wants them."""
        bins = {"max_bin": self.config.max_bin, "nthread": threads(self.config)}
        known = xgboost.QuantileDMatrix(train[0], train[1], **bins)
        return known, xgboost.QuantileDMatrix(*validation, **bins, ref=known)

    def begin(self, stage: str = STAGE) -> tuple[Any, list[dict[str, float]]]:
        """Return the trees that are kept, None for none, and their losses, telling those again."""
        kept = self.stages.load(stage) or {"trees": None, "losses": []}
        told: list[dict[str, float]] = kept["losses"]
        if told:
            logger.info("{}: {} rounds read from the checkpoint", STAGE, len(told))
        for number, losses in enumerate(told):
            self.on_round(number, losses)
        return kept["trees"], told

    def keep(self, trees: bytearray, told: list[dict[str, float]], stage: str = STAGE) -> None:
        """Keep trees and the losses of their rounds."""
        self.stages.save(stage, {"trees": trees, "losses": told})


def done(config: ModelConfig, told: list[dict[str, float]]) -> bool:
    """Whether these rounds are all, or the last of them, the patience long, brought nothing."""
    patience = config.early_stopping
    stale = bool(told) and patience is not None and len(told) - 1 - _best(told) >= patience
    return stale or len(told) >= config.rounds


def chosen(
    config: ModelConfig, booster: xgboost.Booster, told: list[dict[str, float]]
) -> xgboost.Booster:
    """Return the trees up to the best round, or all where nothing stops them early."""
    trees: xgboost.Booster = booster[
        : len(told) if config.early_stopping is None else _best(told) + 1
    ]
    return trees


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn XGBoost's errors into one line each.

    Raises:
        ShelfmarkError: XGBoost refuses what it is given.
    """
    try:
        yield
    except (ValueError, xgboost.core.XGBoostError) as error:
        raise ShelfmarkError(f"model: {_cause(error)}") from error


def grow(
    growth: Growth,
    objective: Objective,
    train: Rows,
    validation: Rows,
) -> xgboost.Booster:
    """Grow trees on train until validation gets no better, and return those of the best round.

    Args:
        growth: the configuration, the seed, where to keep the trees, whom to tell of a round.
        objective: what the trees are to do well.
        train: features of shape (rows, columns) and a target for each row.
        validation: the same, of rows not trained on.

    Raises:
        ShelfmarkError: XGBoost refuses a parameter.
    """
    trees, told = growth.begin()
    config = growth.config
    with refusals():
        known, unseen = growth.matrices(train, validation)
        parameters = growth.parameters(objective)
        booster = xgboost.Booster(parameters, [known, unseen], trees)
        with console.progress("growing trees", config.rounds) as bar:
            bar.advance(len(told))
            while not done(config, told):
                _forget_chance(booster, parameters["tree_method"])
                told.append(_one_round(booster, objective, known, unseen, len(told)))
                growth.on_round(len(told) - 1, told[-1])
                bar.advance()
                if len(told) % KEPT_EVERY == 0 or done(config, told):
                    growth.keep(booster.save_raw("ubj"), told)
        return chosen(config, booster, told)


def threads(config: ModelConfig) -> int:
    """Return how many threads grow the trees: sums of floats depend on it."""
    return config.n_jobs or os.cpu_count() or 1


def _one_round(
    booster: xgboost.Booster,
    objective: Objective,
    known: xgboost.DMatrix,
    unseen: xgboost.DMatrix,
    number: int,
) -> dict[str, float]:
    """Grow the trees of one round and return its losses."""
    booster.update(known, number, objective.slope)
    told = booster.eval_set([(known, "train"), (unseen, "validation")], number, objective.loss)
    return {name: float(value) for name, value in LOSS.findall(told)}


def _forget_chance(booster: xgboost.Booster, method: str) -> None:
    """Make the chance of the next round depend on its number alone, as `seed_per_iteration` means.

    XGBoost draws the columns of trees by a generator that it starts in a booster's first round and
    then lets run on, so that a booster read from disk would draw others, and other rows in its
    first round too. The generator is part of what a tree method sets up: changed to and fro, the
    method starts afresh, while trees and cached margins stay.
    """
    booster.set_param("tree_method", "approx")
    booster.save_config()  # parameters are only noted until they are needed
    booster.set_param("tree_method", method)


def _best(told: list[dict[str, float]]) -> int:
    """Return the number of the round that validation liked best, the first of equals."""
    losses = [losses["validation"] for losses in told]
    return losses.index(min(losses))


def _cause(error: Exception) -> str:
    """Return the line of XGBoost's error that says what was wrong, without its stack."""
    lines = [line for line in str(error).splitlines() if line and "Stack trace" not in line]
    return WHERE.sub("", lines[0]) if lines else "XGBoost failed"
