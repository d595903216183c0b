"""Faults of the system at every command: one line, a status, nothing lost or half-written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shelfmark.cli.main import shelfmark
from shelfmark.core import console
from tests.conftest import QUICK
from tests.support.records import lines as lines_of
from tests.support.records import made

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, capabilities and limits")

# Imports once what takes longer than a command, then forks a process for each.
RUNNER = """
import json, os, resource, signal, sys
import optuna
from shelfmark.cli.parsing import command
from shelfmark.cli.main import shelfmark
from shelfmark.cloud import job, submit
from shelfmark.config import load
from shelfmark.evaluation import promote
from shelfmark.experiments.benchmarks import drift
from shelfmark.experiments.robustness import report
from shelfmark.experiments.sweeps import run as sweeps
from shelfmark.models import languages
from shelfmark.monitoring import detect
from shelfmark.reports import moderators, write
from tests.support.unprivileged import drop_privileges

languages.language_identifier()  # unpacks a file of its own
load.load_config()  # imports Hydra: where memory is short, an import ends in any error

def run(words, folder, room, memory, full, closed):
    drop_privileges()
    os.chdir(folder)
    os.environ["HOME"] = folder
    sys.stdout.reconfigure(write_through=False)
    if full:
        os.dup2(os.open("full", os.O_WRONLY), 1)
    if closed:  # as head leaves it
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(reader)
    if room is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    if memory is not None:
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    return command.run(shelfmark, words, "shelfmark")

for line in sys.stdin:
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        for number in (1, 2):
            os.dup2(theirs, number)
        os.closerange(3, theirs + 1)
        code = 1
        try:
            code = run(**json.loads(line))
        except SystemExit as end:
            code = end.code
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code or 0)
    os.close(theirs)
    with os.fdopen(ours) as file:
        log = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([code, log]), flush=True)
"""
NOWHERE = ["--url", "http://127.0.0.1:9/oai", "--since", "2026-11-01"]
PAPERS = ["--papers", "papers.jsonl"]
ENCODER = [
    "experiment=fast", "data.options.papers=600", "data.min_papers=5", "encoder.size=8",
    "encoder.sizes=[]", "encoder.epochs=1", "encoder.batch=64", "encoder.n_jobs=1",
]  # fmt: skip
# What each command is asked for. Of the others, `serve` and `monitor` go on for as long as nobody
# stops them, `load-test` starts a service, `bench-drift` needs thousands of papers, `sync` a run of
# W&B, and those of the cloud write nothing here.
READING = {
    "data": ["data", *QUICK],
    "train": ["train", *QUICK, "model.rounds=3", "name=new"],
    "sweep": ["sweep", "fast", "--trials", "1", "--engine", "optuna", *QUICK, "model.rounds=3"],
    "evaluate": ["evaluate"],
    "robustness": ["robustness", "--papers", "20"],
    "report": ["report"],
    "predict": ["predict", "--file", "papers.jsonl", "--out", "answers.jsonl"],
    "classify-new": ["classify-new", *NOWHERE],
    "promote": ["promote", "quick"],
    "drift": ["drift", *PAPERS],
    "convert-model": ["convert-model", "quick"],
    "train-encoder": ["train-encoder", *ENCODER, "name=new"],
    "embed": ["embed", "--file", "papers.jsonl", "--out", "vectors.npy", "--ids", "ids.txt"],
    "evaluate-encoder": ["evaluate-encoder", "--no-baselines"],
    "landscape": ["landscape", "--method", "pca"],
    "index": ["index", "experiment=fast", "data.options.papers=600", "data.min_papers=5"],
    "index --add": ["index", "--add", "snapshot.jsonl"],
    "search": ["search", "robot"],
}
WRITING = {
    **{name: words for name, words in READING.items() if name not in ("convert-model", "search")},
    "data": ["data", *QUICK, "data.min_words=3"],
    "harvest": ["harvest", *NOWHERE],
    "ship-log": ["ship-log", "--folder", "logs", "--to", "shipped"],
}
PRINTING = {
    "predict": ["predict", "--text", "a robot arm"],
    "drift": ["drift", *PAPERS],
    "search": ["search", "robot"],
    "completion": ["completion", "bash"],
    "cloud-init": [
        "cloud-init", "--project", "a-project", "--region", "europe-west4",
        "--bucket", "a-bucket", "--dry-run",
    ],
    **{f"{name} --help": [name, "--help"] for name in shelfmark.commands},
    "--help": ["--help"],
    "--version": ["--version"],
}  # fmt: skip


@dataclass
class Ended:
    """How a command ended: its status, and all that it wrote."""

    code: int
    log: str

    def require_one_line(self) -> str:
        """Return the line of the error, after checking that there is one and no more."""
        assert "Traceback" not in self.log, self.log
        lines = [line for line in self.log.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.log
        assert lines == self.log.splitlines()[-1:]
        assert self.code == 1
        return lines[0]


Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run a command in a folder, in a process without privileges."""
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout

        def ask(words: list[str], folder: Path, **limits: object) -> Ended:
            limits = {"room": None, "memory": None, "full": False, "closed": False} | limits
            asked = json.dumps({"words": words, "folder": str(folder), **limits})
            print(asked, file=process.stdin, flush=True)
            return Ended(*json.loads(process.stdout.readline()))

        yield ask
        process.stdin.close()


@pytest.fixture(scope="module")
def prepared(home: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with splits, a model, an evaluation, papers, and a log of predictions."""
    folder = tmp_path_factory.mktemp("prepared") / "work"
    shutil.copytree(home, folder, symlinks=True)
    assert run(READING["evaluate"], folder).code == 0
    assert run(["train-encoder", *ENCODER, "name=small"], folder).code == 0
    paper = {"title": "a robot arm", "abstract": "A robot arm grasps objects by motion planning."}
    lines = (json.dumps({"id": str(number), **paper}) for number in range(30))
    (folder / "papers.jsonl").write_text("\n".join(lines))
    assert run(READING["index"], folder).code == 0
    (folder / "snapshot.jsonl").write_bytes(lines_of([made(1), made(2)]))
    (folder / "logs").mkdir()
    (folder / "logs" / "20260101-1-a.jsonl").write_text("{}\n")
    return folder


@pytest.fixture
def work(prepared: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that folder, which a test may damage."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder, symlinks=True)
    yield folder
    for path in [folder, *everything(folder)]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def files_in(folder: Path) -> list[Path]:
    return [path for path in everything(folder) if path.is_file() and not path.is_symlink()]


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of each file, the target of each link, and each folder."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in everything(folder)
        if not path.is_fifo()
    }


def half_written(folder: Path) -> list[Path]:
    """Return what a writer leaves only if it is killed."""
    return [
        path for path in everything(folder) if path.name.startswith((".partial-", ".training-"))
    ]


def test_every_command_is_tried() -> None:
    apart = {"serve", "monitor", "load-test", "bench-drift", "sync"}
    cloud = {
        "submit",
        "preflight",
        "jobs",
        "logs",
        "cancel",
        "cloud-init",
        "build",
        "deploy",
        "rollback",
    }
    tried = {words[0] for words in (*READING.values(), *WRITING.values())}
    assert set(shelfmark.commands) == {*tried, *apart, *cloud, "completion"}


@pytest.mark.parametrize("name", READING)
def test_files_that_may_not_be_read(run: Run, work: Path, name: str) -> None:
    before = contents(work)
    for path in files_in(work):
        path.chmod(0)
    run(READING[name], work).require_one_line()
    for path in files_in(work):
        path.chmod(stat.S_IRUSR)
    assert {name: before[name] for name in before} == before
    assert half_written(work) == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing", "failing file"])
@pytest.mark.parametrize("name", READING)
def test_other_things_in_place_of_files(run: Run, work: Path, name: str, kind: str) -> None:
    for path in files_in(work):
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:  # a process cannot read its memory at 0
            path.symlink_to("/nowhere" if kind == "link to nothing" else "/proc/self/mem")
    run(READING[name], work).require_one_line()
    assert half_written(work) == []


@pytest.mark.parametrize("name", WRITING)
def test_a_folder_that_may_not_be_written(run: Run, work: Path, name: str) -> None:
    before = contents(work)
    for path in reversed([work, *everything(work)]):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    line = run(WRITING[name], work).require_one_line()
    assert "Permission denied" in line
    assert contents(work) == before


@pytest.mark.parametrize("name", WRITING)
def test_a_disk_without_room(run: Run, work: Path, name: str) -> None:
    before = contents(work)
    run(WRITING[name], work, room=0).require_one_line()
    after = contents(work)
    assert {path: after.get(path) for path in before} == before
    assert half_written(work) == []


@pytest.mark.parametrize("name", PRINTING)
def test_a_standard_output_without_room(run: Run, work: Path, name: str) -> None:
    (work / "full").symlink_to("/dev/full")
    line = run(PRINTING[name], work, full=True).require_one_line()
    assert line == "error: standard output: No space left on device"


@pytest.mark.parametrize("name", PRINTING)
def test_a_standard_output_without_a_reader(run: Run, work: Path, name: str) -> None:
    ended = run(PRINTING[name], work, closed=True)
    assert "Traceback" not in ended.log
    assert "error" not in ended.log
    assert ended.code == console.OUTPUT_CLOSED


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "drift"])
def test_little_memory(run: Run, work: Path, name: str) -> None:
    before = contents(work)
    line = run(READING[name], work, memory=0).require_one_line()
    assert "memory is short" in line
    after = contents(work)
    assert {path: after.get(path) for path in before} == before
    assert half_written(work) == []
