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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from shelfmark.data import splits
from shelfmark.models import artifact
from tests.conftest import QUICK, paths_in
from tests.support.moments import PATIENCE, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, signals and limits")

GOES_ON = "stopped: the same command resumes from the finished stages"
# Imports once what takes longer than such a training, then forks a process for each.
TRAINER = """
import json, os, resource, signal, sys
from shelfmark.models.boosted.fitting import engine
from shelfmark.cli.parsing import command
from shelfmark.cli.main import shelfmark
from shelfmark.cloud import job  # with what a training imports
from shelfmark.monitoring import fingerprint

fingerprint._language_identifier()  # unpacks a file of its own

def kill_at(event, name, times):
    def kill(now, arguments):
        nonlocal times
        if now == event and any(name in str(argument) for argument in arguments):
            times -= 1
            if not times:
                os.kill(os.getpid(), signal.SIGKILL)
    # An audit hook sees each system call before it is made, so the moment is exact.
    sys.addaudithook(kill)

def run(arguments, moment, room, shared):
    if moment:
        kill_at(*moment)
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    if shared:
        engine.WORTH_DISTRIBUTING = 0
    return command.run(shelfmark, ["train", *arguments], "shelfmark")

if __name__ == "__main__":
    for line in sys.stdin:
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            os.dup2(theirs, 1)
            os.dup2(theirs, 2)
            os.closerange(3, theirs + 1)
            code = 1
            try:
                code = run(**json.loads(line))
            except SystemExit as end:
                code = end.code
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        os.close(theirs)
        with os.fdopen(ours) as file:
            log = file.read()  # until the last process that writes there is gone
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([code, log]), flush=True)
"""


@dataclass
class Ended:
    code: int
    log: str

    @property
    def last(self) -> str:
        return self.log.splitlines()[-1]


class Trainer:
    """Runs trainings in processes of their own, one after the other."""

    def __init__(self, process: subprocess.Popen[str], data: Path) -> None:
        self.process = process
        self.data = data

    def arguments(self, home: Path, name: str) -> list[str]:
        shared = f'paths.data="{self.data}"'
        own = [path for path in paths_in(home) if not path.startswith("paths.data")]
        few = ("data.options.papers=800", "data.min_papers=10", "model.subsample=0.7")
        return [*QUICK, *few, f"name={name}", shared, *own]

    def start(
        self, home: Path, name: str, moment: Any = None, room: Any = None, shared: bool = False
    ) -> int:
        """Start a training, and return the number of its process.

        It is killed at a moment: before the n-th event that names something.
        Its files may not outgrow a room of so many bytes.
        """
        how = {"arguments": self.arguments(home, name), "moment": moment, "room": room}
        assert self.process.stdin
        self.process.stdin.write(orjson.dumps(how | {"shared": shared}).decode() + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def end(self) -> Ended:
        return Ended(*orjson.loads(self._line()))

    def run(self, home: Path, name: str, **how: Any) -> Ended:
        self.start(home, name, **how)
        return self.end()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    folder = tmp_path_factory.mktemp("trainer")
    (folder / "trainer.py").write_text(TRAINER)
    command = [sys.executable, "-W", "ignore", str(folder / "trainer.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield Trainer(process, folder / "data")
        process.stdin.close()


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
    assert len(list((home / "models").glob(".unfinished-*/.partial-*-scratch/data.npy"))) == 1
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
        ({"room": 0}, "words.zip"),
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
