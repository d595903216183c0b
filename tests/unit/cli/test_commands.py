"""The commands as a user types them: help, mistakes on one line, and the functions they call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import orjson
import pytest

import tasks
from shelfmark import __version__
from shelfmark.cli.main import shelfmark
from shelfmark.cli.parsing.command import Number, Whole, run
from shelfmark.config import groups
from shelfmark.errors import ShelfmarkError
from tests.unit.cli.conftest import Typed

USER_COMMANDS = {
    "train", "data", "sync", "sweep", "evaluate", "robustness", "predict", "harvest",
    "classify-new", "serve", "promote", "ship-log", "load-test", "drift", "monitor", "bench-drift",
    "report", "submit", "preflight", "jobs", "logs", "cancel", "cloud-init", "build", "deploy",
    "rollback", "completion", "convert-model", "embed", "evaluate-encoder",
    "landscape", "train-encoder", "index", "search",
}  # fmt: skip


def test_there_is_a_command_for_everything_a_user_does() -> None:
    assert set(shelfmark.commands) == USER_COMMANDS


@pytest.mark.parametrize("name", sorted(USER_COMMANDS))
def test_help_explains_the_command_and_each_option(typed: Typed, name: str) -> None:
    status, out, err = typed(name, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: shelfmark {name} ")
    command = shelfmark.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[0] in out


def test_without_a_command_help_is_shown(typed: Typed) -> None:
    status, out, _ = typed()
    assert status == 0
    assert out == typed("--help")[1]
    assert all(f"\n  {name} " in out for name in USER_COMMANDS)


def test_the_version_is_that_of_the_package(typed: Typed) -> None:
    assert typed("--version") == (0, f"shelfmark, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("name", "absent", "example"),
    [
        (
            "train",
            {"cloud", "cloud/machine", "encoder", "index"},
            "experiment=fast model.max_depth=4",
        ),
        ("submit", {"index"}, "experiment=fast model.max_depth=4"),
        (
            "train-encoder",
            {"cloud", "cloud/machine", "model", "engine", "index"},
            "experiment=fast encoder.size=128",
        ),
    ],
)
def test_help_lists_the_groups_of_the_configuration(
    typed: Typed, name: str, absent: set[str], example: str
) -> None:
    _, out, _ = typed(name, "--help")
    for group, names in groups.list_groups().items():
        assert (f"\n  {group}={'|'.join(names)}\n" in out) is (group not in absent)
    assert f"{name} {example}" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["train", "experiment=fsat"],
            "error: experiment=fsat: no such experiment; did you mean fast?",
        ),
        (["train", "fast"], "error: fast: no override: give key=value, +key=value or ~key"),
        (["train", "a=1", "=2"], "error: =2: no override: give key=value, +key=value or ~key"),
        (["drift", "7d"], "error: 7d: no override: give key=value, +key=value or ~key"),
        (["sweep", "fast", "=1"], "error: =1: no override: give key=value, +key=value or ~key"),
        (["sweep", "nope"], "error: sweep nope: there is no such file; there are"),
        (["sweep", "fast", "sed=1"], "error: sed: no such key; did you mean seed?"),
        (["sweep", "~sed"], "error: sed: no such key; did you mean seed?"),
        (["predict", "--text", "a", "--model", "missing"], "error: no model in models"),
        (["predict"], "error: give --text TEXT or --file FILE"),
        (["predict", "--text", "a", "--top-k", "0"], "error: --top-k: 0 is not in the range x>=1"),
        (["predict", "--txt", "a"], "error: no such option '--txt'"),
        (["predict", "--text"], "error: option '--text' requires an argument"),
        (["predict", "a"], "error: got unexpected extra argument (a) (see shelfmark predict --h"),
        (["load-test", "--users", "0"], "error: --users: 0 is not in the range x>=1"),
        (["load-test", "--users", "two"], "error: --users: 'two' should be a whole number"),
        (["load-test", "--seconds", "x"], "error: --seconds: 'x' should be a number"),
        (["load-test", "--seconds", "0"], "error: --seconds: 0.0 is not in the range x>0"),
        (["sync", "--seconds", "nan"], "error: --seconds: nan is not a finite number"),
        (["harvest", "--interval", "inf"], "error: --interval: inf is not a finite number"),
        (["serve", "--workers", "0"], "error: --workers: 0 is not in the range x>=1"),
        (["serve", "--port", "70000"], "error: --port: 70000 is not in the range 0<=x<=65535"),
        (["sweep", "--trials", "0"], "error: --trials: 0 is not in the range x>=1"),
        (["robustness", "--seed", "-1"], "error: --seed: -1 is not in the range x>=0"),
        (["logs"], "error: missing argument 'JOB'"),
        (["ship-log", "--to", "a"], "error: missing option '--folder'"),
        (["promote"], "error: name the version, promote VERSION, or go back, promote --back"),
        (["promote", "a", "--back"], "error: name the version, promote VERSION, or go back"),
        (["completion", "tcsh"], "error: 'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        (["trai"], "error: no such command 'trai'"),
    ],
)
def test_a_mistake_is_one_line_and_status_one(
    typed: Typed,
    words: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shelfmark.cli.drift.require_extra", lambda *_: None)
    monkeypatch.setattr("shelfmark.cli.serve.require_locust", lambda: None)
    status, out, err = typed(*words)
    assert (status, out) == (1, "")
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


NUMBERS = [
    (name, option)
    for name, command in tasks.COMMANDS.items()
    for option in command.params
    if isinstance(option.type, Whole | Number)
]


def test_every_number_of_a_command_is_of_a_type_with_our_words() -> None:
    kinds = {type(option.type) for one in tasks.COMMANDS.values() for option in one.params}
    assert not kinds & {type(click.INT), type(click.FLOAT), click.IntRange, click.FloatRange}
    assert {"--port", "--workers", "--top-k", "--interval"} <= {one.opts[0] for _, one in NUMBERS}


@pytest.mark.parametrize("value", ["abc", "", "five", "1,5", "1e", "0x1", "é", "-", "--", "nan"])
@pytest.mark.parametrize(
    ("name", "option"), NUMBERS, ids=[f"{name} {one.opts[0]}" for name, one in NUMBERS]
)
def test_what_is_no_number_is_refused_in_one_line(
    name: str,
    option: click.Option,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    long = option.opts[0]
    reason = "should be a whole number" if isinstance(option.type, Whole) else "should be a number"
    expected = f"error: {long}: {value!r} {reason}\n"
    if value == "nan" and isinstance(option.type, Number):
        expected = f"error: {long}: nan is not a finite number\n"
    required = [
        word
        for one in tasks.COMMANDS[name].params
        if isinstance(one, click.Option) and one.required
        for word in (one.opts[0], "x")
    ]
    for commands, words, program in (
        (shelfmark, [name], "shelfmark"),
        (tasks.COMMANDS[name], [], f"inv {name}"),
    ):
        if name in ("bench", "test") and commands is shelfmark:
            continue
        assert run(commands, [*words, *required, f"{long}={value}"], program) == 1
        assert capfd.readouterr() == ("", expected)
    assert list(tmp_path.iterdir()) == []


def test_what_is_typed_arrives(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[object] = []

    def compose(overrides: list[str]) -> None:
        arrived.append(overrides)
        raise ShelfmarkError("enough")

    monkeypatch.setattr("shelfmark.config.load.load_config", compose)
    words = (
        "a=1",
        "+b=2",
        "++c=3",
        "~d",
        "data.labels=[cs.AI,'cs.CL']",
        "path=my papers, all",
        "e=",
    )
    assert typed("train", *words) == (1, "", "error: enough\n")
    assert arrived == [words]


@pytest.mark.parametrize(
    ("words", "name", "overrides", "trials"),
    [
        ([], "fast", [], 0),
        (["mine"], "mine", [], 0),
        (["my/mine.yaml", "seed=1"], "my/mine.yaml", ["seed=1"], 0),
        (["mine", "--trials", "3", "seed=1"], "mine", ["seed=1"], 3),
        (["--trials=3", "seed=1", "name=b"], "fast", ["seed=1", "name=b"], 3),
        (["mine", "model.rounds=5"], "mine", ["model.rounds=5"], 0),
    ],
)
def test_a_sweep_may_begin_with_a_name(
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    name: str,
    overrides: list[str],
    trials: int,
) -> None:
    arrived: list[tuple[object, ...]] = []

    def search(*given: object) -> None:
        arrived.append(given)
        raise ShelfmarkError("enough")

    monkeypatch.setattr("shelfmark.cli.training.require_extra", lambda *_: None)
    monkeypatch.setattr("shelfmark.experiments.sweeps.run.run_sweep", search)
    monkeypatch.setattr("shelfmark.experiments.sweeps.spec.FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    # Its model has keys that the default lacks: an override of one is valid.
    parameters = {
        "model": {"value": "xgboost"},
        "model.max_depth": {"value": 3},
        "seed": {"values": [1, 2]},
    }
    sweep = {"method": "grid", "metric": {"name": "log_loss"}, "parameters": parameters}
    (tmp_path / "my").mkdir()
    for file in ("fast.yaml", "mine.yaml", "my/mine.yaml"):
        (tmp_path / file).write_bytes(orjson.dumps(sweep))
    status, out, err = typed("sweep", *words, "--engine", "optuna")
    assert (status, out) == (1, "")
    assert err == f"sweep {name} by optuna: as asked\nerror: enough\n"
    assert arrived == [(name, overrides, trials, 1, "", "optuna")]


def test_a_sweep_of_another_kind_takes_its_keys(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise ShelfmarkError("enough")

    required: list[Any] = []
    monkeypatch.setattr("shelfmark.cli.training.require_extra", lambda *_: None)
    monkeypatch.setattr("shelfmark.cli.training.require_training", required.append)
    monkeypatch.setattr("shelfmark.experiments.sweeps.run.run_sweep", stop)
    words = ["transformer", "model.base=minilm", "model.epochs=2", "--engine", "optuna"]
    _, _, err = typed("sweep", *words)
    assert err == "sweep transformer by optuna: as asked\nerror: enough\n"
    assert {(one.model.kind, one.model.base, one.model.epochs) for one in required} == {
        ("transformer", "minilm", 2)
    }
    status, _, err = typed("sweep", "transformer", "model.max_depth=3", "--engine", "optuna")
    assert status == 1
    assert err == "error: model.max_depth: model.kind=transformer has no such key\n"


def test_ctrl_c_is_one_line_with_the_state_of_the_work(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shelfmark.monitoring.shipping.ship_log", interrupt)
    status, out, err = typed("ship-log", "--folder", "logs", "--to", "archive")
    assert (status, out) == (130, "")
    assert err == "stopped: the remaining files stay in the folder\n"


def test_help_loads_no_library_of_models_or_of_tables() -> None:
    code = """
import sys
from shelfmark.cli.parsing.command import run
from shelfmark.cli.main import shelfmark
for words in (["--help"], ["train", "--help"], ["predict", "--help"]):
    assert run(shelfmark, words, "shelfmark") == 0
heavy = {"numpy", "pandas", "pydantic", "hydra", "sklearn", "xgboost", "fastapi", "rich", "loguru"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
