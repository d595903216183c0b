"""Sweeps of encoders without an account: a file whose program is train-encoder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from shelfmark.config import groups
from shelfmark.config.load import load_encoder_config
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps.run import run_sweep
from tests.conftest import paths_in
from tests.system.experiments.test_sweep import trials, written

QUICK = [
    "data.options.papers=400", "data.min_papers=10", "encoder.batch=64", "encoder.sizes=[]",
]  # fmt: skip
SWEEP: dict[str, Any] = {
    "program": "train-encoder",
    "method": "grid",
    "metric": {"name": "known_item_mrr", "goal": "maximize"},
    "parameters": {
        "encoder.epochs": {"value": 2},
        "encoder.size": {"values": [2, 32]},
    },
}


def overrides(folder: Path, *more: str) -> list[str]:
    return [*QUICK, *paths_in(folder), *more]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a grid of two encoders has been searched by Optuna."""
    folder = tmp_path_factory.mktemp("searched")
    run_sweep(written(folder, "grid", SWEEP), overrides(folder))
    return folder


def test_every_trial_is_measured_as_a_retriever(searched: Path) -> None:
    sweeps = searched / "reports" / "sweeps"
    assert trials(sweeps / "grid.db") == [(0, "COMPLETE"), (1, "COMPLETE")]
    result = run_sweep(str(searched / "grid.yaml"), overrides(searched))
    best, worst = sorted(result.outcomes, key=lambda one: -one.figures["known_item_mrr"])
    assert best.values["encoder.size"] == 32
    assert 0 < worst.figures["known_item_mrr"] < best.figures["known_item_mrr"] <= 1
    assert best.figures["rounds"] == 2
    table = result.table().markdown()
    for column in ("known item MRR", "same shelf P@10", "epochs", "size"):
        assert column in table
    assert not (searched / "encoders").exists()


def test_the_best_is_an_experiment_that_train_encoder_takes(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = searched / "reports" / "sweeps" / "grid.yaml"
    lines = made.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert "of the sweep grid" in lines[1]
    assert "known item MRR 0." in lines[1]
    configs = tmp_path / "configs"
    shutil.copytree(groups.CONFIGS, configs)
    shutil.copy(made, configs / "experiment")
    monkeypatch.setattr(groups, "CONFIGS", configs)
    loaded = load_encoder_config(["experiment=grid"]).encoder
    wanted = ["encoder.size=32", "encoder.epochs=2", "encoder.batch=64", "encoder.sizes=[]"]
    assert loaded == load_encoder_config(wanted).encoder
    assert loaded.n_jobs is None


@pytest.mark.parametrize(
    ("changed", "words", "line"),
    [
        ({"metric": {"name": "log_loss"}}, [], "metric: there is no figure log_loss"),
        ({"metric": {"name": "known_item_mr"}}, [], "did you mean known_item_mrr?"),
        ({}, ["model.max_depth=3"], "model.max_depth: this command has no such key"),
        ({}, ["encoder.size=0"], "encoder.size: 0: should be at least 1"),
        ({"parameters": {"data.maths": {"values": ["keep", "mask"]}}}, [], "data must be the same"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(
    tmp_path: Path, changed: dict[str, Any], words: list[str], line: str
) -> None:
    file = written(tmp_path, "bad", {**SWEEP, **changed})
    with pytest.raises(ShelfmarkError) as raised:
        run_sweep(file, overrides(tmp_path, *words))
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "reports").exists()
