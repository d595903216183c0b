"""Sweeps with an account: W&B's own client, against a server on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.moments import PATIENCE
from tests.support.wandb_server import KEY
from tests.support.wandb_sweep_server import SweepServer
from tests.system.experiments.test_sweep import QUICK, written
from tests.system.experiments.test_sweep_encoder import QUICK as QUICK_ENCODER
from tests.system.experiments.test_sweep_encoder import SWEEP as ENCODERS

SWEEP = {
    "method": "random",
    "metric": {"name": "validation", "goal": "minimize"},
    "early_terminate": {"type": "hyperband", "min_iter": 5},
    "run_cap": 2,
    "parameters": {
        "model.rounds": {"value": 6},
        "model.learning_rate": {"values": [0.05, 0.4]},
    },
}


@pytest.fixture
def server() -> Iterator[SweepServer]:
    with SweepServer() as running:
        yield running


def inv(folder: Path, server: SweepServer, *words: str, **more: str) -> Any:
    """Type a sweep as a user with an account does."""
    home = {
        "HOME": str(folder),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "WANDB_DATA_DIR": str(folder / "data-of-wandb"),
    }
    environment = {**os.environ, **home, **server.environment(), **more}
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "sweep", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )


def test_with_an_account_wandb_runs_the_sweep(tmp_path: Path, server: SweepServer) -> None:
    written(tmp_path, "mine", SWEEP)
    done = inv(tmp_path, server, "mine.yaml", *QUICK, "tracking.project=papers")
    assert done.returncode == 0, done.stderr
    assert "sweep mine.yaml by wandb: there is an account" in done.stderr
    (sent,) = server.sweeps
    assert sent["method"] == "random"
    assert sent["metric"] == {"name": "validation", "goal": "minimize"}
    assert sent["run_cap"] == 2
    assert sent["early_terminate"] == {"type": "hyperband", "min_iter": 5}
    assert sent["parameters"]["model.learning_rate"]["values"] == [0.05, 0.4]
    assert server.projects == [(None, "papers")]
    assert server.agents == ["sweep1"]
    assert sorted(server.runs) == ["run1", "run2"]
    for name, rate in (("run1", 0.05), ("run2", 0.4)):
        run = server.runs[name]
        assert run.config["model"]["learning_rate"] == rate
        assert run.config["model.learning_rate"] == rate
        assert len([row for row in run.history if "validation" in row]) == 6
        assert 0 < run.summary["log_loss"] < 3
        assert run.ended
    assert "mine: 2 trials completed, 0 pruned, 0 failed" in done.stdout
    made = (tmp_path / "reports" / "sweeps" / "mine.yaml").read_text()
    assert made.splitlines()[0] == "# @package _global_"
    assert "learning_rate: 0.4" in made
    assert server.asked.count("Heartbeat") >= 2, "the agent has asked for the second run itself"
    assert KEY not in done.stdout + done.stderr
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "wandb").exists()


def test_wandb_runs_a_sweep_of_encoders(tmp_path: Path, server: SweepServer) -> None:
    written(tmp_path, "mine", {**ENCODERS, "run_cap": 2})
    done = inv(tmp_path, server, "mine.yaml", *QUICK_ENCODER)
    assert done.returncode == 0, done.stderr
    (sent,) = server.sweeps
    assert sent["program"] == "train-encoder"
    assert sent["metric"] == {"name": "known_item_mrr", "goal": "maximize"}
    assert sorted(server.runs) == ["run1", "run2"]
    for name, size in (("run1", 2), ("run2", 32)):
        run = server.runs[name]
        assert run.config["encoder"]["size"] == size
        assert len([row for row in run.history if "train" in row]) == 2
        assert 0 < run.summary["known_item_mrr"] <= 1
        assert run.ended
    made = (tmp_path / "reports" / "sweeps" / "mine.yaml").read_text()
    assert "encoder:\n" in made
    assert "size: 32" in made
    assert not (tmp_path / "encoders").exists()


def test_an_agent_can_join_an_existing_sweep(tmp_path: Path, server: SweepServer) -> None:
    server.sweeps.append({**SWEEP, "run_cap": 9})
    server.given = 1
    written(tmp_path, "mine", SWEEP)
    words = ["mine.yaml", *QUICK, "--study", "sweep7", "--trials", "1", "--engine", "wandb"]
    done = inv(tmp_path, server, *words)
    assert done.returncode == 0, done.stderr
    assert len(server.sweeps) == 1, "none is made"
    assert server.agents == ["sweep7"]
    assert list(server.runs) == ["run2"]


def test_a_server_that_refuses_is_one_line(tmp_path: Path, server: SweepServer) -> None:
    del server.answers["UpsertSweep"]
    written(tmp_path, "mine", SWEEP)
    done = inv(tmp_path, server, "mine.yaml", *QUICK)
    assert done.returncode == 1
    assert "error: W&B: " in done.stderr
    assert "Traceback" not in done.stderr
