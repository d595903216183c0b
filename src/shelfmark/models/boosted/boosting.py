"""Boosted trees, trained round by round with a checkpoint and early stopping on validation."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from loguru import logger

from shelfmark.config.models import BoostedConfig
from shelfmark.core import console
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.core.structure import Blob
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.booster_file.opening import read_booster
from shelfmark.models.protocol import RoundCallback

if TYPE_CHECKING:  # imported where trees grow: a prediction needs none of it
    import xgboost

KEPT_EVERY = 25  # rounds
STAGE = "trees"
WHERE = re.compile(r"^\[.*?\] (?:\S+:\d+: )?")  # of its source XGBoost puts before an error
LOSS = re.compile(r"(train|validation)-[\w@-]+:([\d.e+-]+|nan|inf)")

Rows = tuple[Any, Any]  # features of shape (rows, columns), and a target for each row
Slope = Callable[[Any, "xgboost.DMatrix"], tuple[Any, Any]]
Loss = Callable[[Any, "xgboost.DMatrix"], tuple[str, float]]
CheckTrees = Callable[[bytes | bytearray], None]


@dataclass(frozen=True)
class Objective:
    """The objective of trees: one of XGBoost's, or a custom loss.

    Args:
        parameters: XGBoost's `objective` and its parameters.
        slope: from margins and data to gradient and hessian, None for XGBoost's own.
        loss: from margins and data to a name and a loss, None for XGBoost's own.
        together: how many consecutive rows form a group, which is never divided among workers.
    """

    parameters: dict[str, Any]
    slope: Slope | None = None
    loss: Loss | None = None
    together: int = 1

    @property
    def classes(self) -> int | None:
        """The number of classes that the trees tell apart, None with a custom loss."""
        return None if self.slope else int(self.parameters.get("num_class", 2))


@dataclass(frozen=True)
class BoostingRun:
    """One training of boosted trees: its settings, its checkpoint, and the callback of a round.

    Args:
        config: the hyperparameters.
        seed: of all randomness.
        checkpoint: where the trees and their losses are saved as the training proceeds.
        callback: called after each round with its number and its losses.
    """

    config: BoostedConfig
    seed: int
    checkpoint: Checkpoint
    callback: RoundCallback

    def parameters(self, objective: Objective) -> dict[str, Any]:
        """Return XGBoost's parameters: those of the configuration and of an objective."""
        config = self.config
        named = ("max_depth", "learning_rate", "min_child_weight", "subsample", "colsample_bytree",
                 "reg_alpha", "reg_lambda", "max_bin")  # fmt: skip
        return {
            **{name: getattr(config, name) for name in named},
            **objective.parameters,
            "nthread": thread_count(config),
            "tree_method": "hist",
            "seed": self.seed,
            "seed_per_iteration": True,
            **config.params,
        }

    def matrices(self, train: Rows, validation: Rows) -> tuple[xgboost.DMatrix, xgboost.DMatrix]:
        """Return the training and the validation matrix of XGBoost."""
        import xgboost

        bins = {"max_bin": self.config.max_bin, "nthread": thread_count(self.config)}
        known = xgboost.QuantileDMatrix(train[0], train[1], **bins)
        return known, xgboost.QuantileDMatrix(*validation, **bins, ref=known)

    def resume(
        self, check: CheckTrees, stage: str = STAGE
    ) -> tuple[bytearray | None, list[dict[str, float]]]:
        """Return the trees kept by an earlier run, or None, and the losses of their rounds.

        The callback is called for each of those rounds again.

        Raises:
            ShelfmarkError: the checkpoint is damaged.
        """
        trees, history = self.read_kept(check, stage)
        if history:
            logger.info("{}: {} rounds read from the checkpoint", STAGE, len(history))
        for number, losses in enumerate(history):
            self.callback(number, losses)
        return trees, history

    def read_kept(
        self, check: CheckTrees, stage: str = STAGE
    ) -> tuple[bytearray | None, list[dict[str, float]]]:
        """Return the trees kept by an earlier run, or None, and the losses of their rounds.

        Raises:
            ShelfmarkError: the checkpoint is damaged.
        """
        saved = self.checkpoint.load(stage)
        if saved is None:
            return None, []
        trees, losses = bytearray(saved["trees"].content), saved["losses"]
        check(trees)
        rounds = zip(*(values.tolist() for values in losses.values()), strict=True)
        return trees, [dict(zip(losses, values, strict=True)) for values in rounds]

    def keep(self, trees: bytearray, history: list[dict[str, float]], stage: str = STAGE) -> None:
        """Keep trees and the losses of their rounds."""
        losses = {name: np.array([of[name] for of in history]) for name in history[0]}
        self.checkpoint.save(stage, {"trees": Blob("trees.ubj", trees), "losses": losses})


def trees_check(objective: Objective, train: Rows) -> CheckTrees:
    """Return a check of trees that are grown for an objective.

    It raises `ShelfmarkError` unless the trees are such as a saved model may hold.
    """
    features = train[0].shape[1]

    def check(trees: bytes | bytearray) -> None:
        try:
            read_booster(bytes(trees), features, objective.classes)
        except ShelfmarkError as error:
            raise ShelfmarkError(
                f"model.params: trees of this kind cannot be saved: {error}"
            ) from error

    return check


def is_finished(config: BoostedConfig, history: list[dict[str, float]]) -> bool:
    """Whether all rounds are done, or validation has not improved for `early_stopping` rounds."""
    patience = config.early_stopping
    stale = bool(history) and patience is not None and len(history) - 1 - _best(history) >= patience
    return stale or len(history) >= config.rounds


def best_trees(
    config: BoostedConfig, booster: xgboost.Booster, history: list[dict[str, float]]
) -> xgboost.Booster:
    """Return the trees up to the best round, or all where nothing stops them early."""
    trees: xgboost.Booster = booster[
        : len(history) if config.early_stopping is None else _best(history) + 1
    ]
    return trees


@contextlib.contextmanager
def xgboost_errors() -> Iterator[None]:
    """Turn XGBoost's errors into one line each.

    Raises:
        ShelfmarkError: XGBoost refuses a parameter or the data.
    """
    import xgboost

    try:
        yield
    except (ValueError, xgboost.core.XGBoostError) as error:
        raise ShelfmarkError(f"model: {_error_cause(error)}") from error


def grow(
    run: BoostingRun,
    objective: Objective,
    train: Rows,
    validation: Rows,
) -> xgboost.Booster:
    """Grow trees on train until validation stops improving, and return those of the best round.

    Args:
        run: its settings, its checkpoint and its callback.
        objective: what the trees minimise.
        train: features of shape (rows, columns) and a target for each row.
        validation: the same, of rows not trained on.

    Raises:
        ShelfmarkError: XGBoost refuses a parameter.
    """
    import xgboost

    check = trees_check(objective, train)
    trees, history = run.resume(check)
    config = run.config
    with xgboost_errors():
        known, unseen = run.matrices(train, validation)
        parameters = run.parameters(objective)
        booster = xgboost.Booster(parameters, [known, unseen], trees)
        with console.progress("growing trees", config.rounds) as bar:
            bar.advance(len(history))
            while not is_finished(config, history):
                _reset_generator(booster, parameters["tree_method"])
                history.append(_one_round(booster, objective, known, unseen, len(history)))
                run.callback(len(history) - 1, history[-1])
                bar.advance()
                due = len(history) % KEPT_EVERY == 0 or is_finished(config, history)
                if due or len(history) == 1:
                    grown = booster.save_raw("ubj")
                    check(grown)  # now, and not when the model is saved, hours later
                    if due:
                        run.keep(grown, history)
        return best_trees(config, booster, history)


def thread_count(config: BoostedConfig) -> int:
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
    losses = booster.eval_set([(known, "train"), (unseen, "validation")], number, objective.loss)
    return {name: float(value) for name, value in LOSS.findall(losses)}


def _reset_generator(booster: xgboost.Booster, method: str) -> None:
    """Reset XGBoost's generator, so that the next round's random numbers depend on its number only.

    Despite `seed_per_iteration`, XGBoost samples the columns of trees by a generator that it seeds
    only in a booster's first round. A booster read from disk would therefore sample other columns,
    and other rows in its first round. The generator belongs to the tree method: switching the
    method and switching back seeds it again, while trees and cached margins stay.
    """
    booster.set_param("tree_method", "approx")
    booster.save_config()  # parameters take effect when they are needed
    booster.set_param("tree_method", method)


def _best(history: list[dict[str, float]]) -> int:
    """Return the round with the lowest validation loss, the first of equals."""
    losses = [losses["validation"] for losses in history]
    return losses.index(min(losses))


def _error_cause(error: Exception) -> str:
    """Return the line of XGBoost's error that names the cause, without its stack."""
    lines = [line for line in str(error).splitlines() if line and "Stack trace" not in line]
    return WHERE.sub("", lines[0]) if lines else "XGBoost failed"
