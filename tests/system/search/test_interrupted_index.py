"""A build and an addition that are killed at any moment: the old index serves, and they go on."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shelfmark.search.manifest import read_manifest
from tests.support import indexes
from tests.support.indexes import newer, paper_records

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and limits a file's size")

# Forks a process for each command, which the hook kills at the n-th call of the system that names
# a path: the moment is exact, for the hook sees the call before it is made.
RUNNER = """
import json, os, resource, signal, sys
from shelfmark.cli.main import shelfmark
from shelfmark.cli.parsing import command
from shelfmark.search.build import add, blocks, build
from tests.support import hashed_encoder
from shelfmark.config import encoders
from shelfmark.embeddings import families
families.MODULES[hashed_encoder.KIND] = hashed_encoder.__name__
encoders.ENCODER_KINDS[hashed_encoder.KIND] = hashed_encoder.HashedConfig
build.RECORDS = 40

def kill_at(event, name, times):
    def kill(now, arguments):
        nonlocal times
        if now == event and any(name in str(argument) for argument in arguments):
            times -= 1
            if not times:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(kill)

def run(words, folder, moment, room):
    os.chdir(folder)
    if moment:
        kill_at(*moment)
    if room is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    return command.run(shelfmark, words, "shelfmark")

for line in sys.stdin:
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        for number in (1, 2):
            os.dup2(theirs, number)
        os.closerange(3, theirs + 1)
        code = 1
        try:
            code = run(**json.loads(line))
        except SystemExit as end:
            code = end.code
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
KILLED = -9
BUILD = ["index", "--encoder", "hashed", "data=snapshot", "data.path=papers.jsonl"]
ADD = ["index", "--add", "more.jsonl"]
# The event of the system, a part of the path, and which time it is the moment.
MOMENTS = [
    ("os.rename", "unfinished-", 1),
    ("os.rename", "unfinished-", 3),
    ("open", "unfinished-", 40),
    ("sqlite3.connect", "segments", 1),
    ("open", "vectors.npy", 1),
    ("os.rename", "segments", 1),
    ("os.rename", "manifest.json", 1),
    ("shutil.rmtree", "unfinished-", 1),
]


@dataclass
class Shell:
    """Runs commands in a folder, each in a process of its own."""

    process: subprocess.Popen[str]

    def run(
        self, words: list[str], folder: Path, moment: Any = None, room: int | None = None
    ) -> tuple[int, str]:
        assert self.process.stdin
        assert self.process.stdout
        asked = {"words": words, "folder": str(folder), "moment": moment, "room": room}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        code, log = json.loads(self.process.stdout.readline())
        return code, log


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Shell(process)
        assert process.stdin
        process.stdin.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.support import hashed_encoder

    hashed_encoder.register(monkeypatch)
    indexes.save_encoder(tmp_path)
    indexes.write_records(tmp_path / "papers.jsonl", paper_records(range(150)))
    indexes.write_records(tmp_path / "more.jsonl", [*paper_records(range(150, 240)), newer(3)])
    return tmp_path


def digests(index: Path) -> dict[str, str]:
    """Return the digest of each file of the segments."""
    return {
        path.relative_to(index).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((index / "segments").rglob("*"))
        if path.is_file()
    }


def left_over(index: Path) -> list[str]:
    """Return what a finished change should not leave."""
    names = {path.name for path in index.rglob("*")}
    return sorted(name for name in names if name.startswith((".", "unfinished-")))


@pytest.mark.parametrize("moment", MOMENTS, ids="-".join(map(str, range(8))).split("-"))
def test_a_killed_build_goes_on_to_the_same_index(
    shell: Shell, folder: Path, moment: tuple[str, str, int]
) -> None:
    index = folder / "index"
    assert shell.run([*BUILD, "paths.index=whole"], folder)[0] == 0
    code, log = shell.run(BUILD, folder, moment)
    assert code == KILLED, log
    if (index / "manifest.json").exists():
        assert read_manifest(index).papers == 150
    code, log = shell.run(BUILD, folder)
    assert code == 0, log
    assert read_manifest(index).papers == 150
    assert sorted(digests(index).values()) == sorted(digests(folder / "whole").values())
    assert left_over(index) == []


@pytest.mark.parametrize("moment", MOMENTS, ids="-".join(map(str, range(8))).split("-"))
def test_a_killed_addition_leaves_the_old_index_or_the_new_one(
    shell: Shell, folder: Path, moment: tuple[str, str, int]
) -> None:
    index = folder / "index"
    assert shell.run(BUILD, folder)[0] == 0
    code, log = shell.run(ADD, folder, moment)
    assert code == KILLED, log
    manifest = read_manifest(index)
    assert (manifest.generation, manifest.papers) in {(1, 150), (2, 240)}
    code, log = shell.run(["search", "unique7", "--k", "1"], folder)
    assert (code, json.loads(log)["results"][0]["id"]) == (0, "1501.00007")
    code, log = shell.run(ADD, folder)
    assert code == 0, log
    assert read_manifest(index).papers == 240
    assert left_over(index) == []


@pytest.mark.parametrize("room", [0, 3_000, 30_000])
def test_a_full_disk_is_one_line_and_the_old_index_serves(
    shell: Shell, folder: Path, room: int
) -> None:
    assert shell.run(BUILD, folder)[0] == 0
    before = digests(folder / "index")
    for words in (ADD, [*BUILD, "index.size=64"]):
        code, log = shell.run(words, folder, room=room)
        errors = [line for line in log.splitlines() if line.startswith("error: ")]
        assert (code, len(errors)) == (1, 1), log
        assert "Traceback" not in log
        assert digests(folder / "index") == before
    code, log = shell.run(["search", "unique7", "--k", "1"], folder)
    assert (code, json.loads(log)["results"][0]["id"]) == (0, "1501.00007")
    assert shell.run(ADD, folder)[0] == 0
