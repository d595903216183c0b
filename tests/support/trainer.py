"""Trainings in processes of their own, which are killed at exact moments."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.conftest import paths_in

# Imports once what takes longer than such a training, then forks a process for each.
TRAINER = """
import json, os, resource, signal, sys

def kill_at(event, name, times, training):
    def kill(now, arguments):
        nonlocal times
        if now == event and any(name in str(argument) for argument in arguments):
            times -= 1
            if not times:
                os.kill(training, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
    # An audit hook sees each system call before it is made, so the moment is exact.
    sys.addaudithook(kill)

def run(arguments, moment, room, shared, in_worker, group):
    if moment and in_worker:
        os.environ["TRAINER_MOMENT"] = json.dumps(moment)
    elif moment:
        kill_at(*moment, os.getpid())
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    if shared:
        engine.WORTH_DISTRIBUTING = 0
    if group is not None:
        splits.ROW_GROUP = prepare.CHUNK = group
        os.cpu_count = lambda: 1  # one process after the other, so that moments come in order
    return command.run(shelfmark, ["train", *arguments], "shelfmark")

if __name__ == "__mp_main__" and "TRAINER_MOMENT" in os.environ:  # a process of the training
    kill_at(*json.loads(os.environ["TRAINER_MOMENT"]), os.getppid())

if __name__ == "__main__":
    from shelfmark.models.boosted.fitting import engine
    from shelfmark.cli.parsing import command
    from shelfmark.cli.main import shelfmark
    from shelfmark.cloud import job  # with what a training imports
    from shelfmark.data import prepare, splits
    from shelfmark.models import languages

    languages.language_identifier()  # unpacks a file of its own
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

    def __init__(self, process: subprocess.Popen[str], data: Path, settings: list[str]) -> None:
        self.process = process
        self.data = data
        self.settings = settings

    def arguments(self, home: Path, name: str) -> list[str]:
        shared = f'paths.data="{self.data}"'
        own = [path for path in paths_in(home) if not path.startswith("paths.data")]
        return [*self.settings, f"name={name}", shared, *own]

    def start(
        self,
        home: Path,
        name: str,
        moment: Any = None,
        room: Any = None,
        shared: bool = False,
        in_worker: bool = False,
        group: int | None = None,
    ) -> int:
        """Start a training, and return the number of its process.

        Args:
            home: for its model and reports.
            name: of the model.
            moment: it is killed before the n-th event that names something.
            room: bytes that no file of it may outgrow.
            shared: whether its models are fitted in several processes.
            in_worker: whether the moment is one of these processes, with which it is killed.
            group: about how many papers a row group of the splits has, if it makes them.
        """
        how = {"moment": moment, "room": room, "shared": shared}
        how |= {"in_worker": in_worker, "group": group, "arguments": self.arguments(home, name)}
        assert self.process.stdin
        self.process.stdin.write(orjson.dumps(how).decode() + "\n")
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


@contextlib.contextmanager
def start_trainer(folder: Path, settings: list[str]) -> Iterator[Trainer]:
    """Yield a trainer that works in a folder, with the overrides of all its trainings."""
    (folder / "trainer.py").write_text(TRAINER)
    command = [sys.executable, "-W", "ignore", str(folder / "trainer.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield Trainer(process, folder / "data", settings)
        process.stdin.close()
