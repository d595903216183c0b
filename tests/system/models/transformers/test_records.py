"""Runs and sweeps of transformers: the same records as those of trees. `inv test torch`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.core import console
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps.run import run_sweep
from shelfmark.models import artifact
from shelfmark.training.train import train_model
from tests.conftest import paths_in
from tests.support import wandb_record
from tests.support.moments import PATIENCE
from tests.support.transformers import TINY, settings_in
from tests.support.wandb_sweep_server import SweepServer
from tests.system.experiments.test_sweep import trials, written

pytest.importorskip("torch", reason="needs PyTorch: inv test torch")

# Of the libraries about themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

QUICK = ("model.max_tokens=32", "model.evaluations=1")
# With the first rate a network hardly learns.
SWEEP: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "log_loss"},
    "parameters": {
        "model": {"value": "transformer"},
        "model.epochs": {"value": 2},
        "model.learning_rate": {"values": [1e-7, 1e-3]},
        "model.head_learning_rate": {"value": 1e-3},
    },
}


def test_a_run_at_wandb_is_the_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = ["tracking=wandb", "name=recorded", "model.epochs=2", *QUICK]
    folder = train_model(settings_in(tmp_path, *words)).folder
    place = tmp_path / "reports" / "recorded"
    record = wandb_record.read(place)
    local = orjson.loads((place / "run.json").read_bytes())
    assert {key: record.config[key] for key in local["config"]} == local["config"]
    assert record.config["model"]["base"] == "tiny"
    history = [orjson.loads(line) for line in (place / "history.jsonl").read_bytes().splitlines()]
    assert [row["step"] for row in history] == [0, 1]
    assert record.rows[:2] == [{"_step": row.pop("step"), **row} for row in history]
    assert {key: record.summary[key] for key in local["summary"]} == local["summary"]
    (made,) = [one for one in record.of("artifact") if one.type == "model"]
    card = artifact.read_card(folder)
    assert {entry.path for entry in made.manifest.contents} == {"card.json", *card.files}
    assert orjson.loads(made.metadata)["digest"] == card.digest


def test_a_sweep_without_an_account_keeps_the_network_that_learns(tmp_path: Path) -> None:
    console.configure_logging("WARNING")
    result = run_sweep(written(tmp_path, "grid", SWEEP), [*TINY[1:], *QUICK, *paths_in(tmp_path)])
    assert trials(tmp_path / "reports" / "sweeps" / "grid.db") == [
        (0, "COMPLETE"), (1, "COMPLETE")
    ]  # fmt: skip
    best, worst = sorted(result.outcomes, key=lambda one: one.figures["log_loss"])
    assert best.values["model.learning_rate"] == 1e-3
    assert best.figures["log_loss"] < worst.figures["log_loss"] - 0.1
    assert best.figures["rounds"] == 2
    lines = result.experiment.splitlines()
    assert lines[0] == "# @package _global_"
    assert "  - override /model: transformer" in lines
    assert "  learning_rate: 0.001" in lines
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("model.base=./nowhere", "model.base=./nowhere: no such folder"),
        ("model.tuned_layers=99", "model.tuned_layers=99: model.base=tiny has 2"),
        ("model.max_tokens=600", "model.max_tokens=600: model.base=tiny reads at most 512"),
    ],
)
def test_a_base_that_does_not_fit_ends_a_command_before_any_work(
    tmp_path: Path, word: str, line: str
) -> None:
    with pytest.raises(ShelfmarkError, match=line):
        run_sweep(written(tmp_path, "grid", SWEEP), [*TINY[1:], *paths_in(tmp_path), word])
    with pytest.raises(ShelfmarkError, match=line):
        train_model(settings_in(tmp_path, word))
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "reports").exists()


def test_wandb_runs_a_sweep_of_transformers(tmp_path: Path) -> None:
    sweep = {**SWEEP, "method": "random", "run_cap": 2}
    file = written(tmp_path, "mine", sweep)
    places = {"HOME": str(tmp_path), "WANDB_CACHE_DIR": str(tmp_path / "cache"),
              "WANDB_CONFIG_DIR": str(tmp_path / "config"),
              "WANDB_DATA_DIR": str(tmp_path / "data-of-wandb")}  # fmt: skip
    with SweepServer() as server:
        command = [sys.executable, "-m", "shelfmark.cli", "sweep", file, *TINY[1:], *QUICK]
        environment = {**os.environ, **places, **server.environment()}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        assert sorted(server.runs) == ["run1", "run2"]
        for name, rate in (("run1", 1e-7), ("run2", 1e-3)):
            run = server.runs[name]
            assert run.config["group.model"] == "transformer"
            assert run.config["model"]["kind"] == "transformer", "the section keeps its place"
            assert run.config["model"]["learning_rate"] == rate
            assert [row["_step"] for row in run.history if "validation" in row] == [0, 1]
            assert run.summary["log_loss"] > 0
            assert run.ended
        assert server.runs["run2"].summary["log_loss"] < server.runs["run1"].summary["log_loss"]
