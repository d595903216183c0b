"""A harvest updates the file that a link leads to, and writes into a pipe or standard output."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.oai_server import Repository
from tests.unit.arxiv.conftest import SINCE, Clock, fetch, left

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")


def test_a_link_stays_and_its_target_is_made_and_updated(
    repository: Repository, tmp_path: Path, clock: Clock, undisturbed: bytes
) -> None:
    (tmp_path / "big").mkdir()
    out = tmp_path / "papers.jsonl"
    out.symlink_to("big/store.jsonl")
    for counts in ("47 new papers, 0 changed", "0 new papers, 0 changed"):
        assert counts in str(fetch(repository, out, clock))
        assert out.is_symlink()
        assert (tmp_path / "big" / "store.jsonl").read_bytes() == undisturbed
    assert left(tmp_path) == {"papers.jsonl", "papers.jsonl.harvest.json", "big"}
    assert left(tmp_path / "big") == {"store.jsonl"}


def test_a_pipe_receives_the_papers(
    repository: Repository, tmp_path: Path, clock: Clock, undisturbed: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    for _ in range(2):  # each harvest writes all: there is no file to update
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
        reader.start()
        fetch(repository, pipe, clock)
        reader.join()
    assert read == [undisturbed, undisturbed]
    assert pipe.is_fifo()
    assert left(tmp_path) == {"pipe"}


@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_standard_output_receives_the_papers_and_nothing_else(
    repository: Repository, tmp_path: Path, undisturbed: bytes, out: str
) -> None:
    words = ["harvest", "--since", SINCE, "--out", out, "--url", repository.url, "--interval", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "shelfmark.cli", *words],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == undisturbed
    assert b"47 new papers, 0 changed, 0 deleted" in done.stderr
    assert left(tmp_path) == set()
