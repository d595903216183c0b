"""The commands, typed as a user types them, in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

import tasks
from shelfmark.config import groups

ROOT = Path(__file__).parents[2]
# Prints what arrives at two tasks that take overrides and at one that takes none.
ECHO = """
from invoke import task
from tasks import BenchTask, NamedTask, OverridesTask

@task(klass=OverridesTask)
def train(c, overrides):
    print("train", overrides)

@task(klass=OverridesTask)
def data(c, overrides, loud=False):
    print("data", overrides, loud)

@task(klass=BenchTask)
def bench(c, overrides):
    print("bench", overrides)

@task(klass=NamedTask)
def sweep(c, overrides, trials=0, loud=False):
    print("sweep", overrides, trials, loud)

@task
def test(c):
    print("test")
"""


def inv(*words: str, cwd: Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", "--search-root", str(root), *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=env, check=False)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("echo")
    (folder / "echo.py").write_text(ECHO)
    return folder


def echoed(echo: Path, *words: str) -> list[str]:
    done = inv("--collection", "echo", *words, cwd=echo, root=echo)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["train"], ["train []"]),
        (
            ["train", "experiment=fast", "model.max_depth=4"],
            ["train ['experiment=fast', 'model.max_depth=4']"],
        ),
        (
            ["train", "+new=1", "++new=2", "~key", "test"],
            ["train ['+new=1', '++new=2', '~key']", "test"],
        ),
        (["train", "data.labels=[cs.AI,'cs.CL']"], ["""train ["data.labels=[cs.AI,'cs.CL']"]"""]),
        (["train", "data.path=my papers, all.csv"], ["train ['data.path=my papers, all.csv']"]),
        (["train", "a=b=c", "x="], ["train ['a=b=c', 'x=']"]),
        (["data", "a=1", "train", "b=2", "c=3"], ["data ['a=1'] False", "train ['b=2', 'c=3']"]),
        (["train", "a=1", "train", "b=2"], ["train ['a=1']", "train ['b=2']"]),
        (["data", "a=1", "--loud", "b=2", "test"], ["data ['a=1', 'b=2'] True", "test"]),
        (["data", "test"], ["data [] False", "test"]),
        (["bench", "data", "seed=1"], ["bench ['data', 'seed=1']"]),
        (["sweep", "mine"], ["sweep ['mine'] 0 False"]),
        (["sweep", "my/mine.yaml", "a=1"], ["sweep ['my/mine.yaml', 'a=1'] 0 False"]),
        (["sweep", "mine", "--trials", "3", "a=1"], ["sweep ['mine', 'a=1'] 3 False"]),
        (["sweep", "--loud", "--trials=3", "a=1"], ["sweep ['a=1'] 3 True"]),
        (["sweep", "mine", "test"], ["sweep ['mine'] 0 False", "test"]),
    ],
)
def test_overrides_arrive_as_typed(echo: Path, words: list[str], lines: list[str]) -> None:
    assert echoed(echo, *words) == lines


def test_the_list_of_tasks_explains_each(tmp_path: Path) -> None:
    done = inv("--list", cwd=tmp_path)
    for name in (
        "bench",
        "check",
        "data",
        "evaluate",
        "lock",
        "predict",
        "promote",
        "serve",
        "sweep",
        "test",
        "train",
    ):
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE), name


def test_help_lists_the_groups_and_examples(tmp_path: Path) -> None:
    done = inv("train", "--help", cwd=tmp_path)
    for group, names in groups.groups().items():
        assert (f"{group}={'|'.join(names)}" in done.stdout) is not group.startswith("cloud")
    assert "experiment=fast model.max_depth=4" in done.stdout


def test_a_day_of_work(tmp_path: Path) -> None:
    words = ["experiment=fast", "data.options.papers=1200", "data.min_papers=10", "model.rounds=5"]
    done = inv("train", *words, "name=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = inv("evaluate", "--no-baselines", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "mine-test" / "metrics.json").exists()
    (tmp_path / "in.txt").write_text("a robot arm\na galaxy\n")
    done = inv("predict", "--file", "in.txt", "--out", "predictions.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "predictions.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["line"] for line in lines] == [1, 2]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["train", "experiment=fsat"],
            "error: experiment=fsat: no such experiment; did you mean fast?",
        ),
        (["predict", "--text", "a", "--model", "none"], "error: no model in models"),
        (["predict"], "error: give --text TEXT or --file FILE"),
        (["bench", "data", "seed=-1"], "error: seed: -1: input should be greater"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(tmp_path: Path, words: list[str], line: str) -> None:
    done = inv(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("forbidden", [True, False])
def test_compiled_libraries_are_kept_unless_the_user_forbids_it(forbidden: bool) -> None:
    code = (
        "import sys; sys.dont_write_bytecode = True; import tasks; print(sys.dont_write_bytecode)"
    )
    env = os.environ | ({"PYTHONDONTWRITEBYTECODE": "1"} if forbidden else {})
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{forbidden}\n"


def test_every_benchmark_has_its_word() -> None:
    from shelfmark.experiments.benchmarks import speed as bench

    assert [*tasks.BENCHES, *tasks.ASKED] == list(bench.BENCHMARKS)
