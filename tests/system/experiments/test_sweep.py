"""Sweeps without an account: trials on disk, pruned where others are better, never lost."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import orjson
import pytest

from shelfmark.config import groups
from shelfmark.config.load import load_config
from shelfmark.core import console
from shelfmark.data import splits
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps.run import choose_engine, run_sweep
from shelfmark.models import artifact
from tests.conftest import ROOT, paths_in
from tests.support.moments import PATIENCE, kill_group_when, until

# Trees alone, of few papers and four classes: a trial takes a second or two.
QUICK = (
    "model=xgboost",
    "data.options.papers=1000",
    "data.min_papers=20",
    "data.labels=[cs.CL,cs.CV,cs.RO,quant-ph]",
    "features.chosen_terms=100",
    "model.n_jobs=1",
)
# Of the second no more than five rounds are wanted: it hardly learns.
GRID = {
    "method": "grid",
    "metric": {"name": "validation"},
    "early_terminate": {"type": "hyperband", "min_iter": 5, "eta": 3},
    "parameters": {
        "model.rounds": {"value": 12},
        "model.learning_rate": {"values": [0.3, 0.001, 0.5]},
        "features.ngram_range": {"values": [[1, 1]]},
    },
}


def written(folder: Path, name: str, content: dict[str, Any]) -> str:
    path = folder / f"{name}.yaml"
    path.write_bytes(orjson.dumps(content))
    return str(path)


def overrides(folder: Path, *more: str) -> list[str]:
    return [*QUICK, *paths_in(folder), *more]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a grid of three has been searched."""
    folder = tmp_path_factory.mktemp("searched")
    console.configure_logging("WARNING")
    run_sweep(written(folder, "grid", GRID), overrides(folder))
    return folder


def trials(database: Path) -> list[tuple[int, str]]:
    """Return number and state of every trial, straight from the database."""
    with sqlite3.connect(database, timeout=5) as connection:
        return list(connection.execute("SELECT number, state FROM trials ORDER BY number"))


def test_a_trial_that_learns_less_is_pruned(searched: Path) -> None:
    database = searched / "reports" / "sweeps" / "grid.db"
    assert trials(database) == [(0, "COMPLETE"), (1, "PRUNED"), (2, "COMPLETE")]
    with sqlite3.connect(database) as connection:
        query = "SELECT trial_id, max(step) FROM trial_intermediate_values GROUP BY trial_id"
        assert [rounds for _, rounds in connection.execute(query)] == [12, 5, 12]


def test_a_trial_that_is_at_its_last_round_is_not_pruned(searched: Path) -> None:
    parameters = {**GRID["parameters"], "model.rounds": {"value": 5}}
    file = written(searched, "short", {**GRID, "parameters": parameters})
    run_sweep(file, overrides(searched))
    database = searched / "reports" / "sweeps" / "short.db"
    assert {state for _, state in trials(database)} == {"COMPLETE"}
    for path in database.parent.glob("short.*"):
        path.unlink()


def test_the_best_is_an_experiment_that_loads(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = searched / "reports" / "sweeps" / "grid.yaml"
    lines = made.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert "of the sweep grid" in lines[1]
    assert "log loss 0." in lines[1]
    configs = tmp_path / "configs"
    shutil.copytree(groups.CONFIGS, configs)
    shutil.copy(made, configs / "experiment")
    monkeypatch.setattr(groups, "CONFIGS", configs)
    loaded = load_config(["experiment=grid"])
    assert loaded.model.n_jobs is None, "how many threads is a matter of the machine"
    rate = loaded.model.learning_rate
    assert rate in (0.3, 0.5)
    parameters = [
        f"model.learning_rate={rate}",
        "model.rounds=12",
        "features.ngram_range=[1,1]",
    ]
    wanted = load_config([*QUICK, *parameters, "model.n_jobs=null"])
    assert (loaded.model, loaded.features) == (wanted.model, wanted.features)


def test_only_the_study_and_the_best_experiment_stay(searched: Path) -> None:
    names = {path.name for path in (searched / "reports" / "sweeps").iterdir()}
    assert names == {"grid.db", "grid.lock", "grid.yaml"}
    assert not (searched / "models").exists()


def test_the_test_split_is_never_read(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    file_of = splits.Splits.file

    def noted(self: splits.Splits, split: str) -> splits.SplitFile:
        asked.append(split)
        return file_of(self, split)

    monkeypatch.setattr(splits.Splits, "file", noted)
    file = written(searched, "one", {**GRID, "early_terminate": None})
    run_sweep(file, overrides(searched, "model.learning_rate=0.3"), study="one")
    assert set(asked) == {"train", "validation"}


def test_the_same_command_runs_the_remaining_trials_and_more_on_request(
    tmp_path: Path, searched: Path
) -> None:
    file = written(searched, "grow", {**GRID, "method": "random", "early_terminate": None})
    shared = overrides(searched)
    run_sweep(file, shared, trials=1)
    database = searched / "reports" / "sweeps" / "grow.db"
    assert trials(database) == [(0, "COMPLETE")]
    again = run_sweep(file, shared, trials=1)
    assert again.table().title == "grow: 1 trials completed, 0 pruned, 0 failed"
    assert trials(database) == [(0, "COMPLETE")]
    run_sweep(file, shared, trials=2)
    assert trials(database) == [(0, "COMPLETE"), (1, "COMPLETE")]


def test_a_study_of_another_search_is_not_mixed_with_this_one(searched: Path) -> None:
    file = str(searched / "grid.yaml")
    with pytest.raises(ShelfmarkError, match="of a search with other configuration: choose a new"):
        run_sweep(file, overrides(searched, "features.min_df=4"))
    with pytest.raises(ShelfmarkError, match="of a search with other papers"):
        run_sweep(file, overrides(searched, "data.maths=mask"))


def test_inconsistent_values_fail_only_their_trial(tmp_path: Path) -> None:
    parameters = {
        "model.rounds": {"value": 2},
        "features.max_df": {"values": [0.0001, 0.7]},
    }
    file = written(tmp_path, "mixed", {**GRID, "parameters": parameters})
    result = run_sweep(file, overrides(tmp_path))
    assert trials(result.path.with_suffix(".db")) == [(0, "FAIL"), (1, "COMPLETE")]
    assert "max_df: 0.7" in result.experiment
    assert result.path.read_text() == result.experiment


def test_a_search_without_a_completed_trial_is_one_line(tmp_path: Path) -> None:
    parameters = {"features.max_df": {"values": [0.0001]}}
    file = written(tmp_path, "none", {**GRID, "parameters": parameters})
    with pytest.raises(ShelfmarkError, match="none: no trial was completed: features: "):
        run_sweep(file, overrides(tmp_path))


def test_a_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="engine=dask: a sweep trains on this machine"):
        run_sweep(written(tmp_path, "grid", GRID), overrides(tmp_path, "engine=dask"))
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("changed", "arguments", "line"),
    [
        ({"metric": {"name": "accurracy"}}, {}, "no figure accurracy; did you mean accuracy?"),
        ({}, {"workers": 0}, "count from 1"),
        ({}, {"workers": 2, "engine": "wandb"}, "--workers is for optuna; at W&B, run more agents"),
        ({}, {"study": "a/b"}, "--study a/b: a name, or the path of a file that ends in .db"),
    ],
)
def test_an_invalid_argument_is_one_line_before_any_work(
    tmp_path: Path, changed: dict[str, Any], arguments: dict[str, Any], line: str
) -> None:
    with pytest.raises(ShelfmarkError) as raised:
        run_sweep(written(tmp_path, "bad", {**GRID, **changed}), overrides(tmp_path), **arguments)
    assert line in str(raised.value)
    assert not (tmp_path / "reports").exists() or "study" in arguments


def test_an_invalid_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_text("no database, but some text that is long enough to be none")
    with pytest.raises(ShelfmarkError, match="mine.db: no study") as raised:
        run_sweep(
            written(tmp_path, "grid", GRID), overrides(tmp_path), study=str(tmp_path / "mine.db")
        )
    assert "\n" not in str(raised.value)


def rates_done(database: Path) -> list[float]:
    """Return the learning rates of the trials that were completed, straight from the database."""
    query = (
        "SELECT value_json FROM trial_user_attributes JOIN trials USING (trial_id) "
        "WHERE key = 'values' AND state = 'COMPLETE'"
    )
    with sqlite3.connect(database) as connection:
        result = [orjson.loads(value) for (value,) in connection.execute(query)]
    return sorted(values["model.learning_rate"] for values in result)


def inv(*words: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "sweep", *words]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "WANDB_API_KEY": "k" * 40, "WANDB_MODE": "offline"}
    return subprocess.Popen(command, cwd=cwd, env=environment, start_new_session=True, **pipes)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_search_of_several_workers_resumes(tmp_path: Path) -> None:
    rates = [0.1, 0.2, 0.3, 0.4]
    parameters = {"model.rounds": {"value": 12}, "model.learning_rate": {"values": rates}}
    written(tmp_path, "kill", {**GRID, "early_terminate": None, "parameters": parameters})
    words = ["kill.yaml", *QUICK, "--workers", "2"]
    database = tmp_path / "reports" / "sweeps" / "kill.db"

    def states() -> list[str]:
        try:
            return [state for _, state in trials(database)]
        except sqlite3.OperationalError:  # not there yet
            return []

    kill_group_when(inv(*words, cwd=tmp_path), lambda: {"COMPLETE", "RUNNING"} <= set(states()))
    again = inv(*words, cwd=tmp_path)
    output = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, output
    assert states().count("COMPLETE") == len(rates)
    assert states().count("FAIL") >= 1, "the trial that was running has been restarted"
    assert rates_done(database) == rates
    assert "kill: 4 trials completed, 0 pruned, 0 failed" in output[0]
    assert "kill.yaml by optuna: WANDB_MODE=offline, and W&B has no sweeps offline" in output[1]


def test_a_trial_killed_before_it_drew_its_values_starts_again(tmp_path: Path) -> None:
    database = tmp_path / "reports" / "sweeps" / "early.db"
    database.parent.mkdir(parents=True)
    study = optuna.create_study(storage=f"sqlite:///{database}", study_name="early")
    study.enqueue_trial({"model.learning_rate": 0.3, "features.ngram_range": "[1,1]"})
    study.ask()  # and no more: it is of no worker that still lives
    run_sweep(written(tmp_path, "early", {**GRID, "early_terminate": None}), overrides(tmp_path))
    assert rates_done(database) == [0.001, 0.3, 0.5]
    assert [state for _, state in trials(database)] == ["FAIL", *["COMPLETE"] * 3]


def test_two_runs_never_share_a_study(searched: Path) -> None:
    from shelfmark.core import files

    lock = files.try_lock(searched / "reports" / "sweeps" / "grid.lock")
    assert lock is not None
    with lock, pytest.raises(ShelfmarkError, match="another run works on this study"):
        run_sweep(str(searched / "grid.yaml"), overrides(searched))


@pytest.fixture
def dashboard(searched: Path) -> Iterator[str]:
    """The page to watch, of the searched study."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = searched / "reports" / "sweeps" / "grid.db"
    program = Path(sys.executable).with_name("optuna-dashboard")
    command = [str(program), f"sqlite:///{database}", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as server:
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert server.poll() is None
            try:
                urllib.request.urlopen(url, timeout=5).close()
            except OSError:
                return False
            return True

        try:
            until(answers)
            yield url
        finally:
            server.terminate()


def test_the_dashboard_shows_the_study(dashboard: str) -> None:
    with urllib.request.urlopen(f"{dashboard}/dashboard", timeout=PATIENCE) as page:
        assert b"Optuna Dashboard" in page.read()
    with urllib.request.urlopen(f"{dashboard}/api/studies", timeout=PATIENCE) as answer:
        (study,) = orjson.loads(answer.read())["study_summaries"]
    assert study["study_name"] == "grid"
    with urllib.request.urlopen(
        f"{dashboard}/api/studies/{study['study_id']}", timeout=PATIENCE
    ) as page:
        detail = orjson.loads(page.read())
    assert [trial["state"] for trial in detail["trials"]] == ["Complete", "Pruned", "Complete"]


def test_a_model_of_the_best_experiment_is_trained_as_the_trial_was(searched: Path) -> None:
    from shelfmark.training import train

    made = (searched / "reports" / "sweeps" / "grid.yaml").read_text()
    rate = made.partition("learning_rate: ")[2].split()[0]
    overrides_of_best = [
        "model.rounds=12",
        "features.ngram_range=[1,1]",
        f"model.learning_rate={rate}",
    ]
    folder = train.train_model(
        load_config(overrides(searched, *overrides_of_best, "name=again"))
    ).folder
    figures = artifact.read_card(folder).metrics["validation"]
    assert f"log loss {figures['log_loss']:.4f}" in made


@pytest.mark.parametrize(
    ("environment", "asked", "engine", "why"),
    [
        ({}, "auto", "optuna", "no W&B account is set up: wandb login, or WANDB_API_KEY"),
        ({"WANDB_API_KEY": "k"}, "auto", "wandb", "there is an account"),
        ({"WANDB_API_KEY": "", "WANDB_MODE": " "}, "auto", "optuna", "no W&B account is set up"),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": ""}, "auto", "wandb", "there is an account"),
        ({"WANDB_API_KEY": "k", "WANDB_BASE_URL": ""}, "auto", "wandb", "there is an account"),
        ({"WANDB_API_KEY": "k"}, "optuna", "optuna", "as asked"),
        (
            {"WANDB_API_KEY": "k", "WANDB_MODE": "offline"},
            "auto",
            "optuna",
            "WANDB_MODE=offline, and W&B has no sweeps offline",
        ),
        ({"WANDB_BASE_URL": "http://logged.in:8080"}, "auto", "wandb", "there is an account"),
        ({"WANDB_BASE_URL": "http://logged.out"}, "auto", "optuna", "no W&B account is set up"),
    ],
)
def test_the_engine_is_chosen_by_the_account(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    asked: str,
    engine: str,
    why: str,
) -> None:
    keys = tmp_path / "netrc"
    keys.write_text("machine logged.in:8080\n  login user\n  password secret\n")
    monkeypatch.setenv("NETRC", str(keys))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    chosen, reason = choose_engine(asked)
    assert chosen == engine
    assert why in reason
    assert "secret" not in reason


def test_asking_for_wandb_without_an_account_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ShelfmarkError, match="wandb login, or WANDB_API_KEY; without one, --engi"):
        choose_engine("wandb")
    with pytest.raises(ShelfmarkError, match="--engine wb: there are auto, wandb and optuna"):
        choose_engine("wb")
