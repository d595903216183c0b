"""A training that is killed, stopped or out of disk resumes, with the same result."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.data import splits
from shelfmark.models import artifact
from tests.conftest import QUICK
from tests.support.moments import PATIENCE, until
from tests.support.trainer import Trainer, start_trainer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, signals and limits")

SETTINGS = [*QUICK, "data.options.papers=800", "data.min_papers=10", "model.subsample=0.7"]
GOES_ON = "stopped: the same command resumes from the finished stages"


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    with start_trainer(tmp_path_factory.mktemp("trainer"), SETTINGS) as trainer:
        yield trainer


@pytest.fixture(scope="module")
def whole(trainer: Trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a model whose training nobody disturbed."""
    home = tmp_path_factory.mktemp("whole")
    ended = trainer.run(home, "good")
    assert ended.code == 0, ended.log
    assert "before" not in ended.log
    return home


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    """A home where that model is the latest."""
    shutil.copytree(whole / "models", tmp_path / "models", symlinks=True)
    return tmp_path


@functools.cache
def outcome(home: Path, name: str) -> list[bytes]:
    """Return what a model answers for the test split, its trees, and the record of its rounds."""
    folder = home / "models" / name
    model = artifact.load(folder, threads=1)
    table = splits.open_splits(Path(model.card.data.folder)).read("test")
    answers = model.probabilities(table["text"].to_pylist())
    return [
        *(numbers.tobytes() for numbers in answers),
        (folder / "booster.ubj").read_bytes(),
        (home / "reports" / name / "history.jsonl").read_bytes(),
        orjson.dumps(model.card.metrics),
    ]


def kept(home: Path) -> dict[str, int]:
    """Return the finished stages; one that is done again has another number."""
    paths = (home / "models").glob(".unfinished-*/[!.]*.zip")
    return {path.name: path.stat().st_ino for path in paths}


def untouched(home: Path) -> bool:
    """Whether the good model is whole and still the latest."""
    folder = home / "models" / "latest"
    return folder.readlink() == Path("good") and artifact.load(folder).version == "good"


def check_end(home: Path, whole: Path) -> None:
    """Check that the interrupted model is as the undisturbed, and nothing else is left."""
    assert {path.name for path in (home / "models").iterdir()} == {
        "good", "latest", "latest.history.json", "again"
    }  # fmt: skip
    assert (home / "models" / "latest").readlink() == Path("again")
    assert outcome(home, "again") == outcome(whole, "good")
    assert {path.name for path in (home / "reports" / "again").iterdir()} == {
        "history.jsonl",
        "run.json",
    }


# Before each of these, one after the other, the same command is killed.
MOMENTS = [
    ("os.mkdir", ".unfinished-", 1),
    ("os.rename", "words.zip", 1),
    ("open", "svm-whole.zip", 1),
    ("os.rename", "svm-2.zip", 1),
    ("os.rename", "bayes-4.zip", 1),
    ("os.rename", "trees.zip", 1),
    ("os.rename", "trees.zip", 2),
    ("open", "run.json", 1),
    ("open", "pipeline.pkl", 1),
    ("os.rename", "models/again", 1),
    ("os.rename", "latest.history.json", 1),
    ("os.symlink", "latest", 1),
    ("os.rename", "latest", 2),
    ("os.rename", ".unfinished-", 1),
]


def test_a_kill_at_any_moment_changes_no_bit_and_no_stage_is_done_again(
    trainer: Trainer, home: Path, whole: Path
) -> None:
    for place, moment in enumerate(MOMENTS):
        before = kept(home)
        ended = trainer.run(home, "again", moment=moment)
        assert ended.code == -signal.SIGKILL, f"{moment}: {ended.log}"
        finishing = place > MOMENTS.index(("os.rename", "latest.history.json", 1))
        assert ended.log.count("read from the checkpoint") == (0 if finishing else len(before)), (
            moment
        )
        still = kept(home).items() | before.items() & {("trees.zip", before.get("trees.zip"))}
        assert before.items() <= still, f"{moment}: done again"
        assert untouched(home) or place == len(MOMENTS) - 1
    ended = trainer.run(home, "again")
    assert ended.code == 0, ended.log
    assert ended.last.endswith("saved before")
    check_end(home, whole)


def command(trainer: Trainer, home: Path) -> subprocess.Popen[str]:
    """Start the training as a person does."""
    line = [sys.executable, "-m", "shelfmark.cli", "train", *trainer.arguments(home, "again")]
    return subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def wait_for(home: Path, name: str) -> None:
    until(lambda: name in kept(home))


def test_a_kill_and_ctrl_c_from_outside_lose_nothing_that_was_finished(
    trainer: Trainer, home: Path, whole: Path
) -> None:
    with command(trainer, home) as run:
        wait_for(home, "words.zip")
        run.kill()
    with command(trainer, home) as run:
        wait_for(home, "svm-0.zip")
        run.send_signal(signal.SIGINT)
        assert run.stderr
        said = run.stderr.read()
    assert run.returncode == 130
    assert said.splitlines()[-1] == GOES_ON
    assert "words: read from the checkpoint" in said
    assert "Traceback" not in said
    assert untouched(home)
    ended = trainer.run(home, "again")
    assert ended.code == 0, ended.log
    assert "words: read from the checkpoint" in ended.log
    assert "svm-0: read from the checkpoint" in ended.log
    check_end(home, whole)


def test_processes_end_with_a_killed_training_and_what_they_finished_is_kept(
    trainer: Trainer, home: Path, whole: Path
) -> None:
    pid = trainer.start(home, "again", shared=True)
    wait_for(home, "svm-whole.zip")
    assert len(list((home / "models").glob(".unfinished-*/rows/00000.rows"))) == 1
    started = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    # Told only once the last process that could still write into the log is gone.
    assert trainer.end().code == -signal.SIGKILL
    assert time.monotonic() - started < PATIENCE
    ended = trainer.run(home, "again")
    assert ended.code == 0, ended.log
    assert "svm-whole: read from the checkpoint" in ended.log
    check_end(home, whole)


def test_no_room_on_the_disk_is_one_line_and_hurts_nothing(
    trainer: Trainer, home: Path, whole: Path
) -> None:
    largest = max(path.stat().st_size for path in (whole / "models" / "good").iterdir())
    # The first file that outgrows the room, further on each time; kills bring the work there.
    steps: list[tuple[dict[str, Any], str]] = [
        ({"room": 0}, "words-0"),
        ({"moment": ("open", "svm-whole.zip", 1)}, ""),
        ({"room": 5_000}, "svm-whole.zip"),
        ({"moment": ("os.rename", "trees.zip", 1)}, ""),
        ({"room": 1_000}, "history.jsonl"),
        ({"room": 20_000}, "trees.zip"),
        ({"moment": ("open", "pipeline.pkl", 1)}, ""),
        ({"room": largest - 1_000}, "models/again"),
    ]
    for how, unwritten in steps:
        ended = trainer.run(home, "again", **how)
        assert ended.code == (1 if unwritten else -signal.SIGKILL)
        assert untouched(home)
        if unwritten:
            assert "Traceback" not in ended.log
            assert ended.last.startswith("error: cannot write ")
            assert ended.last.endswith(f"{unwritten}: File too large")
            assert not list((home / "models").rglob(".partial-*"))
    ended = trainer.run(home, "again")
    assert ended.code == 0, ended.log
    check_end(home, whole)
