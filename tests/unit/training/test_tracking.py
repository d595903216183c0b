"""The record of a run: local files always, W&B on request, which never ends a training."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.config import schema
from shelfmark.config.load import load_config
from shelfmark.errors import ShelfmarkError
from shelfmark.training import tracking
from tests.conftest import paths_in


def settings(tmp_path: Path, *overrides: str) -> schema.Config:
    return load_config([*paths_in(tmp_path), *overrides])


def test_a_local_run_keeps_every_step_and_the_summary(tmp_path: Path) -> None:
    with tracking.start_run(settings(tmp_path, "seed=11"), "mine", {"key": "k"}) as run:
        run.log(0, {"validation": 0.5})
        run.log(1, {"validation": 0.25})
        run.finish({"accuracy": 0.75})
    folder = tmp_path / "reports" / "mine"
    steps = [orjson.loads(line) for line in (folder / "history.jsonl").read_bytes().splitlines()]
    assert steps == [{"step": 0, "validation": 0.5}, {"step": 1, "validation": 0.25}]
    whole = orjson.loads((folder / "run.json").read_bytes())
    assert whole["summary"] == {"accuracy": 0.75, "best_round": 1, "best_validation": 0.25}
    assert whole["config"]["seed"] == 11
    assert whole["origin"] == {"key": "k"}


def test_what_was_logged_survives_a_training_that_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="half-way"),
        tracking.start_run(settings(tmp_path), "mine") as run,
    ):
        run.log(0, {"validation": 0.5})
        raise RuntimeError("half-way")
    assert (tmp_path / "reports" / "mine" / "history.jsonl").read_bytes().count(b"\n") == 1


def test_a_step_is_on_disk_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    history = tmp_path / "reports" / "mine" / "history.jsonl"
    with tracking.start_run(settings(tmp_path), "mine") as run:
        for step in range(3):
            run.log(step, {"validation": 0.5})
            assert history.read_bytes().count(b"\n") == step + 1


def test_the_record_of_an_earlier_run_by_the_same_name_is_never_mixed_with_the_new(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "reports" / "mine"
    with tracking.start_run(settings(tmp_path), "mine") as run:
        run.log(0, {"validation": 0.5})
        run.log(1, {"validation": 0.4})
        run.finish({"accuracy": 0.75})
    with tracking.start_run(settings(tmp_path), "mine") as run:
        assert [path.name for path in folder.iterdir()] == ["history.jsonl"]
        run.log(0, {"validation": 0.3})
    assert (folder / "history.jsonl").read_bytes() == b'{"step":0,"validation":0.3}\n'


FULL = """
import resource, sys
from shelfmark.config.load import load_config
from shelfmark.core import console
from shelfmark.training import tracking

settings = load_config(sys.argv[2:])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
with console.one_line_errors(), tracking.start_run(settings, "mine") as run:
    run.log(0, {"validation": 0.5})
    run.log(1, {"validation": 0.25})
    run.finish({"accuracy": 0.75})
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize(
    ("room", "steps", "unwritten"), [(30, 1, "history.jsonl"), (100, 2, "run.json")]
)
def test_no_room_on_the_disk_is_one_line(
    tmp_path: Path, room: int, steps: int, unwritten: str
) -> None:
    command = [sys.executable, "-c", FULL, str(room), *paths_in(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    folder = tmp_path / "reports" / "mine"
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write {folder / unwritten}: File too large\n"
    assert [path.name for path in folder.iterdir()] == ["history.jsonl"]
    assert (folder / "history.jsonl").read_bytes().count(b"\n") == steps


def test_a_folder_that_cannot_be_written_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with (
        pytest.raises(ShelfmarkError, match="cannot write"),
        tracking.start_run(settings(tmp_path), "mine"),
    ):
        pass


def test_a_missing_wandb_is_one_line_with_its_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_wandb(name: str, *rest: Any, **named: Any) -> Any:
        if name == "wandb":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **named)

    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_wandb)
    with (
        pytest.raises(ShelfmarkError, match="uv sync --extra wandb"),
        tracking.start_run(settings(tmp_path, "tracking=wandb"), "mine"),
    ):
        pass
