"""Boosted trees, grown round by round, kept on the way, stopped by validation."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import xgboost

from shelfmark import console
from shelfmark.checkpoint import Stages
from shelfmark.errors import ShelfmarkError
from shelfmark.schema import ModelConfig

# Called after each round with its number and its losses: {"train": …, "validation": …}.
OnRound = Callable[[int, dict[str, float]], None]

KEPT_EVERY = 25  # rounds
STAGE = "trees"
LOSS = re.compile(r"(train|validation)-[\w@-]+:([\d.e+-]+|nan|inf)")


Slope = Callable[[Any, xgboost.DMatrix], tuple[Any, Any]]
Loss = Callable[[Any, xgboost.DMatrix], tuple[str, float]]


@dataclass(frozen=True)
class Objective:
    """What trees are to do well: one of XGBoost's objectives, or a loss of our own.

    Args:
        parameters: XGBoost's `objective` and what goes with it.
        slope: from margins and data to gradient and hessian, None for XGBoost's own.
        loss: from margins and data to a name and a loss, None for XGBoost's own.
    """

    parameters: dict[str, Any]
    slope: Slope | None = None
    loss: Loss | None = None


@dataclass(frozen=True)
class Growth:
    """How trees are to be grown, and whom to tell."""

    config: ModelConfig
    seed: int
    stages: Stages
    on_round: OnRound

    def parameters(self, objective: Objective) -> dict[str, Any]:
        """Return XGBoost's parameters: those of the configuration and of an objective."""
        config = self.config
        named = ("max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree",
                 "reg_alpha", "reg_lambda", "max_bin")  # fmt: skip
        return {
            **{name: getattr(config, name) for name in named},
            **objective.parameters,
            "nthread": config.n_jobs or os.cpu_count(),
            "tree_method": "hist",
            "seed": self.seed,
            # Chance depends on the round alone: a run that goes on draws as one undisturbed.
            "seed_per_iteration": True,
            **config.params,
        }

    def matrices(
        self, train: tuple[Any, Any], validation: tuple[Any, Any]
    ) -> tuple[xgboost.DMatrix, xgboost.DMatrix]:
        """Return features and targets of both as XGBoost wants them."""
        bins = {"max_bin": self.config.max_bin, "nthread": self.config.n_jobs or os.cpu_count()}
        known = xgboost.QuantileDMatrix(train[0], train[1], **bins)
        return known, xgboost.QuantileDMatrix(*validation, **bins, ref=known)


def grow(
    growth: Growth,
    objective: Objective,
    train: tuple[Any, Any],
    validation: tuple[Any, Any],
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
    rounds, patience = growth.config.rounds, growth.config.early_stopping
    kept = growth.stages.kept(STAGE) or {"trees": None, "losses": []}
    losses: list[float] = kept["losses"]
    try:
        known, unseen = growth.matrices(train, validation)
        booster = xgboost.Booster(growth.parameters(objective), [known, unseen], kept["trees"])
        with console.progress("growing trees", rounds) as bar:
            bar.advance(len(losses))
            while len(losses) < rounds and not _stale(losses, patience):
                number = len(losses)
                booster.update(known, number, objective.slope)
                told = booster.eval_set(
                    [(known, "train"), (unseen, "validation")], number, objective.loss
                )
                values = {name: float(value) for name, value in LOSS.findall(told)}
                losses.append(values["validation"])
                growth.on_round(number, values)
                bar.advance()
                if len(losses) % KEPT_EVERY == 0:
                    trees = booster.save_raw("ubj")
                    growth.stages.keep(STAGE, {"trees": trees, "losses": losses})
    except (ValueError, xgboost.core.XGBoostError) as error:
        raise ShelfmarkError(f"model: {_cause(error)}") from error
    best = losses.index(min(losses)) + 1 if patience else len(losses)
    chosen: xgboost.Booster = booster[:best]
    return chosen


def _stale(losses: list[float], patience: int | None) -> bool:
    """Whether the last rounds, as many as the patience, were none better than before."""
    if not losses or patience is None:
        return False
    return len(losses) - 1 - losses.index(min(losses)) >= patience


def _cause(error: Exception) -> str:
    """Return the line of XGBoost's error that says what was wrong, without its stack."""
    lines = [line for line in str(error).splitlines() if line and "Stack trace" not in line]
    return lines[0].rpartition("] ")[2] if lines else "XGBoost failed"
