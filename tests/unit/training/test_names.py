"""The name of a training: one training at a time has it, and the system releases it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shelfmark.config.load import load_config
from shelfmark.config.schema import Config
from shelfmark.errors import ShelfmarkError
from shelfmark.training import names, train
from tests.conftest import QUICK, paths_in

HOLDER = """
import sys, time
from shelfmark.config.load import load_config
from shelfmark.training.names import reserve_name
with reserve_name(load_config(sys.argv[1:])) as name:
    print(name, flush=True)
    time.sleep(36_000)
"""


def settings(folder: Path, *overrides: str) -> Config:
    return load_config([*QUICK, *overrides, *paths_in(folder)])


def test_a_second_training_of_a_name_stops_before_any_work(tmp_path: Path) -> None:
    mine = settings(tmp_path, "name=mine")
    with names.reserve_name(mine) as name:
        assert name == "mine"
        with pytest.raises(ShelfmarkError, match="name=mine: a training of this name is running"):
            train.train_model(mine)
        assert [path.name for path in tmp_path.iterdir()] == ["models"]
        with names.reserve_name(settings(tmp_path, "name=other")) as other:
            assert other == "other"
    assert list((tmp_path / "models").iterdir()) == []


def test_the_name_of_a_killed_training_is_free(tmp_path: Path) -> None:
    words = [*QUICK, "name=mine", *paths_in(tmp_path)]
    command = [sys.executable, "-c", HOLDER, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stdout.readline() == "mine\n"
        second = [sys.executable, "-m", "shelfmark.cli", "train", *words]
        done = subprocess.run(second, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("error: name=mine: a training of this name is running; ")
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "data").exists()
        run.kill()
    with names.reserve_name(load_config(words)) as name:
        assert name == "mine"


def test_a_training_that_fails_releases_its_name(tmp_path: Path) -> None:
    broken = settings(tmp_path, "name=mine", "data.options.papers=0")
    for _ in range(2):
        with pytest.raises(ShelfmarkError, match="should be a whole number from 1"):
            train.train_model(broken)
    assert list((tmp_path / "models").iterdir()) == []


def test_generated_names_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "default_name", lambda _: "the-moment")
    (tmp_path / "models" / "the-moment-2").mkdir(parents=True)
    every = settings(tmp_path)
    with (
        names.reserve_name(every) as first,
        names.reserve_name(every) as second,
        names.reserve_name(every) as third,
    ):
        assert [first, second, third] == ["the-moment", "the-moment-3", "the-moment-4"]


def test_a_name_holds_the_time_the_data_and_the_experiment() -> None:
    name = names.default_name(load_config(["experiment=fast"]))
    assert name.endswith("-sample-fast")
    assert len(name.split("-")[0]) == 8


def test_a_folder_of_models_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with (
        pytest.raises(ShelfmarkError, match="cannot write .*models"),
        names.reserve_name(settings(tmp_path, "name=mine")),
    ):
        pass


def test_locks_that_killed_trainings_left_long_ago_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / f"{names.RESERVED}old").touch()
    with names.reserve_name(settings(tmp_path, "name=held")):
        monkeypatch.setattr(names, "MAX_AGE", -1)
        with names.reserve_name(settings(tmp_path, "name=mine")):
            left = {path.name for path in models.iterdir()}
    assert left == {f"{names.RESERVED}held", f"{names.RESERVED}mine"}
