"""`inv`, as a user types it: it passes its arguments to the commands of `shelfmark`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

import tasks
from shelfmark.cli.main import shelfmark
from shelfmark.config import groups
from shelfmark.core import console

ROOT = Path(__file__).parents[2]


def inv(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_list_of_tasks_explains_each(tmp_path: Path) -> None:
    done = inv("--list", cwd=tmp_path)
    developers = {"test", "lint", "docs", "format", "lock", "audit", "check", "bench"}
    for name in {*shelfmark.commands, *developers}:
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE), name


@pytest.mark.parametrize("words", [["train", "--help"], ["--help", "train"]])
def test_help_lists_the_groups_and_examples(tmp_path: Path, words: list[str]) -> None:
    done = inv(*words, cwd=tmp_path)
    assert done.stdout.startswith("Usage: inv train ")
    for group, names in groups.list_groups().items():
        absent = group.startswith(("cloud", "encoder", "index"))
        assert (f"{group}={'|'.join(names)}" in done.stdout) is not absent
    assert "experiment=fast model.max_depth=4" in done.stdout


def test_completion_of_invoke_runs_no_command(tmp_path: Path) -> None:
    done = inv("--complete", "--", "inv", "train", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_task_of_a_developer_is_left_to_invoke(tmp_path: Path) -> None:
    done = inv("--help", "docs", cwd=tmp_path)
    assert "--serve" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("words", [["--list"], [], ["train", "--help"], ["--help", "docs"]])
def test_an_output_without_a_reader_is_silence(tmp_path: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), *words]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.stderr == ""
    # By itself, or by the signal that a shell shows as the same status.
    assert done.returncode in (console.OUTPUT_CLOSED, -signal.SIGPIPE)


def test_a_day_of_work(tmp_path: Path) -> None:
    words = ["experiment=fast", "data.options.papers=1200", "data.min_papers=10", "model.rounds=5"]
    done = inv("train", *words, "name=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    card = orjson.loads((tmp_path / "models" / "mine" / "card.json").read_bytes())
    typed = ["uv run inv --search-root", "train experiment=fast data.options.papers=1200"]
    assert all(part in card["command"] for part in typed)
    done = inv("evaluate", "--no-baselines", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "mine-test" / "metrics.json").exists()
    (tmp_path / "in.txt").write_text("a robot arm\na galaxy\n")
    done = inv("predict", "--file", "in.txt", "--out", "predictions.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "predictions.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["line"] for line in lines] == [1, 2]
    require_silence_behind_head(tmp_path)


def require_silence_behind_head(folder: Path) -> None:
    """Check that `inv predict --file many.txt | head -1` is one line, by several processes."""
    (folder / "many.txt").write_text("a robot arm\n" * 20_000)
    command = [sys.executable, "-m", "invoke", "--search-root", str(ROOT)]
    with subprocess.Popen(
        [*command, "predict", "--file", "many.txt"], cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as predict:  # fmt: skip
        head = subprocess.run(["head", "-1"], stdin=predict.stdout, capture_output=True, check=True)
        assert predict.stdout is not None
        predict.stdout.close()
        assert predict.stderr is not None
        assert predict.stderr.read() == b""
    assert predict.returncode == console.OUTPUT_CLOSED
    assert orjson.loads(head.stdout)["line"] == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["train", "experiment=fsat"],
            "error: experiment=fsat: no such experiment; did you mean fast?",
        ),
        (["train", "data"], "error: data: no override"),
        (["bench", "data", "seed=-1"], "error: seed: -1: should be at least"),
        (["bench", "feature"], "error: feature: no such benchmark; did you mean features?"),
        (["test", "some"], "error: 'some' is not one of 'all', 'coverage', 'torch'"),
        (["serve", "--port", "abc"], "error: --port: 'abc' should be a whole number"),
        (["predict", "--top-k", "five"], "error: --top-k: 'five' should be a whole number"),
        (["trian"], "error: no such command 'trian'; did you mean train? (see inv --list)"),
        (["lint", "dosc"], "error: no such command 'dosc'; did you mean docs?"),
        (["docs", "--serv"], "error: no such option '--serv'; did you mean --serve? (see inv docs"),
        (["docs", "--serve=yes"], "error: "),
        (["--lst"], "error: no such option '--lst'; did you mean --list?"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(tmp_path: Path, words: list[str], line: str) -> None:
    done = inv(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["train", "experiment=fast"], ["lint"], ["data"]])
def test_a_subfolder_of_the_checkout_is_refused(words: list[str]) -> None:
    folder = ROOT / "docs" / "pictures"
    before = sorted(folder.iterdir())
    command = [sys.executable, "-m", "invoke", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: inv works at the root of the checkout: cd {ROOT}; ")
    assert sorted(folder.iterdir()) == before
    listed = [sys.executable, "-m", "invoke", "--list"]
    assert subprocess.run(listed, cwd=folder, capture_output=True, check=False).returncode == 0


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
    from shelfmark.experiments.benchmarks import speed

    assert [*tasks.BENCHES, *tasks.ON_REQUEST] == list(speed.BENCHMARKS)
