"""The trees: interrupted after any round they are those of an undisturbed run, to the last bit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from shelfmark.config.load import load_config
from shelfmark.config.models import ModelConfig
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import boosting
from shelfmark.models.boosted.boosting import BoostingRun, Objective, grow
from shelfmark.models.boosted.heads import _Choice

SEVERAL = Objective({"objective": "multi:softprob", "num_class": 3, "eval_metric": "mlogloss"})
TWO = Objective({"objective": "binary:logistic", "eval_metric": "logloss"})
CHOICE = Objective(
    {"base_score": 0.0, "disable_default_eval_metric": True},
    _Choice(4).slope,
    _Choice(4).loss,
)
# Enough noise that validation soon gets worse, and randomness in everything that allows it.
SETTINGS = {
    "rounds": 30,
    "early_stopping": 6,
    "learning_rate": 0.5,
    "max_depth": 3,
    "max_bin": 16,
    "subsample": 0.5,
    "colsample_bytree": 0.4,
    "n_jobs": 1,
    "params": {"colsample_bynode": 0.7},
}


@functools.cache
def base() -> ModelConfig:
    return load_config(["model=xgboost"]).model


@functools.cache
def papers(kind: str) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return training and validation rows, sparse for several classes, dense for the others."""
    rng = np.random.default_rng(0)
    rows = sp.random(400, 30, 0.3, format="csr", dtype=np.float32, random_state=1)
    signal = np.asarray(rows[:, :10].sum(axis=1)).ravel() + rng.normal(size=400)
    if kind == "several":
        targets = np.digitize(signal, np.quantile(signal, [0.33, 0.66]))
        return (rows[:240], targets[:240]), (rows[240:], targets[240:])
    dense = rows.toarray()
    dense[::7, 3] = np.nan
    # Of each four candidates one is right.
    best = signal.reshape(-1, 4).argmax(axis=1)
    targets = (np.arange(4) == best[:, None]).ravel().astype(int)
    return (dense[:240], targets[:240]), (dense[240:], targets[240:])


KINDS = {"several": SEVERAL, "two": TWO, "choice": CHOICE}


@dataclass
class Run:
    """The trees and losses of a run; with `last`, it is interrupted after that round."""

    stages: Checkpoint
    kind: str = "several"
    seed: int = 7
    changes: dict[str, Any] = field(default_factory=dict)
    last: int | None = None
    reports: list[dict[str, float]] = field(default_factory=list)

    def grow(self) -> Run:
        settings = base().model_copy(update=SETTINGS | self.changes)
        growth = BoostingRun(settings, self.seed, self.stages, self._tell)
        self.train, self.validation = papers(self.kind)
        self.booster = grow(growth, KINDS[self.kind], self.train, self.validation)
        return self

    def _tell(self, number: int, losses: dict[str, float]) -> None:
        assert number == len(self.reports), "each round is reported once, in order"
        self.reports.append(losses)
        if number == self.last:
            raise KeyboardInterrupt

    def made(self) -> tuple[bytes, bytes, list[dict[str, float]]]:
        predictions = self.booster.inplace_predict(self.validation[0])
        return bytes(self.booster.save_raw("ubj")), predictions.tobytes(), self.reports


@pytest.fixture
def stages(tmp_path: Path) -> Callable[[str], Checkpoint]:
    return lambda name: Checkpoint(tmp_path / name)


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_an_interruption_after_any_round_changes_no_bit(
    stages: Callable[[str], Checkpoint], monkeypatch: pytest.MonkeyPatch, kind: str, every: int
) -> None:
    monkeypatch.setattr(boosting, "KEPT_EVERY", every)
    whole = Run(stages("whole"), kind).grow()
    rounds = len(whole.reports)
    assert whole.booster.num_boosted_rounds() < rounds - 1 < SETTINGS["rounds"] - 1
    for last in range(rounds):
        kept = stages(f"until {last}")
        with pytest.raises(KeyboardInterrupt):
            Run(kept, kind, last=last).grow()
        assert Run(kept, kind).grow().made() == whole.made(), f"interrupted in round {last}"


@pytest.mark.parametrize(
    "changes",
    [
        {"early_stopping": None, "rounds": 12},
        {"n_jobs": 2},
        {"params": {"colsample_bylevel": 0.5, "num_parallel_tree": 2}},
        # Without a word: XGBoost 3.4 warns of this name of dropout.
        {"params": {"booster": "dart", "rate_drop": 0.3, "verbosity": 0}, "rounds": 12},
        {"params": {"tree_method": "auto", "grow_policy": "lossguide", "max_leaves": 5}},
    ],
    ids=str,
)
def test_one_interruption_after_another_changes_no_bit(
    stages: Callable[[str], Checkpoint], monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(boosting, "KEPT_EVERY", 2)
    whole = Run(stages("whole"), changes=changes).grow()
    kept = stages("interrupted")
    for last in range(1, len(whole.reports), 3):
        with pytest.raises(KeyboardInterrupt):
            Run(kept, changes=changes, last=last).grow()
    assert Run(kept, changes=changes).grow().made() == whole.made()


def test_what_was_grown_before_is_not_grown_again(
    stages: Callable[[str], Checkpoint], log: Callable[[], str]
) -> None:
    kept = stages("kept")
    whole = Run(kept).grow()
    assert "before" not in log()
    # Another seed would grow other trees, were there any left to grow.
    assert Run(kept, seed=8).grow().made() == whole.made()
    assert f"trees: {len(whole.reports)} rounds read from the checkpoint" in log()
    assert Run(stages("other"), seed=8).grow().made() != whole.made()


def test_chance_differs_from_round_to_round(stages: Callable[[str], Checkpoint]) -> None:
    # A learning rate of next to nothing: what the trees see is the same in every round.
    still = {"learning_rate": 1e-9, "early_stopping": None, "rounds": 6}
    booster = Run(stages("still"), changes=still).grow().booster
    columns = {tuple(sorted(one.get_score())) for one in booster}
    assert len(columns) == 6


def test_threads_come_from_the_config(stages: Callable[[str], Checkpoint]) -> None:
    booster = Run(stages("threads"), changes={"n_jobs": 3, "rounds": 2}).grow().booster
    assert '"nthread":"3"' in booster.save_config()


def test_validation_stops_the_trees_and_the_best_round_is_kept(
    stages: Callable[[str], Checkpoint],
) -> None:
    run = Run(stages("one")).grow()
    losses = [losses["validation"] for losses in run.reports]
    best = int(np.argmin(losses))
    assert run.booster.num_boosted_rounds() == best + 1
    assert len(losses) == best + 1 + SETTINGS["early_stopping"]
    probabilities = run.booster.inplace_predict(run.validation[0])
    right = probabilities[np.arange(len(probabilities)), run.validation[1]]
    assert -np.log(right).mean() == pytest.approx(losses[best], abs=1e-4)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"gamma": -1}, "value -1 for Parameter min_split_loss should be greater"),
        ({"max_bin": 32}, "Check failed: param.max_bin == init.max_bin (32 vs. 16)"),
        ({"tree_method": "exact"}, "Only `hist` tree method can use `QuantileDMatrix`."),
        ({"objective": "reg:nonsense"}, "Unknown objective function: `reg:nonsense`"),
    ],
)
def test_a_parameter_that_xgboost_refuses_gives_one_line(
    stages: Callable[[str], Checkpoint], params: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        Run(stages("none"), changes={"params": params}).grow()
    assert str(raised.value).startswith(f"model: {reason}")
    assert "\n" not in str(raised.value)


def test_a_parameter_whose_trees_cannot_be_saved_stops_in_the_first_round(tmp_path: Path) -> None:
    run = Run(Checkpoint(tmp_path), "two", changes={"params": {"objective": "reg:squarederror"}})
    with pytest.raises(
        ShelfmarkError, match=r"model\.params: trees of this kind cannot be saved: "
    ):
        run.grow()
    assert len(run.reports) == 1
    assert not list(tmp_path.iterdir())
