"""A user's mistake is a one-line error, and the file stays unchanged, also after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from shelfmark.arxiv import harvest, oai
from shelfmark.errors import ShelfmarkError
from tests.conftest import ROOT
from tests.support import oai_server
from tests.support.moments import FOREVER, PATIENCE
from tests.support.oai_server import Repository
from tests.unit.arxiv.conftest import SINCE, Clock, fetch, left


@pytest.mark.parametrize(
    ("since", "sets", "options", "line"),
    [
        ("", (), {}, "--since: .* has no harvest of all papers yet: give a day"),
        ("yesterday", (), {}, "--since: 'yesterday' is not a day"),
        ("2026-11-21", (), {}, "--since: 2026-11-21 is in the future"),
        (SINCE, ("cs.A1",), {}, "--sets: no group, archive or category 'cs.A1'; did you mean"),
        (SINCE, (), {"contact": "a@b\r\nX: y"}, "--contact: give"),
        (SINCE, (), {"interval": -1.0}, "--interval"),
    ],
)
def test_a_mistake_is_one_line(
    repository: Repository, tmp_path: Path, clock: Clock, since: str, sets: tuple[str, ...],
    options: dict[str, Any], line: str,
) -> None:  # fmt: skip
    with pytest.raises(ShelfmarkError, match=line):
        fetch(repository, tmp_path / "papers.jsonl", clock, since, sets, **options)
    assert repository.asked == []
    assert left(tmp_path) == set()


@pytest.mark.parametrize("url", ["ftp://x/oai", "oai", "http://", "http://x/?a=b", "http://x/ y"])
def test_a_wrong_url_is_one_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(ShelfmarkError, match="--url"):
        harvest.harvest_papers(tmp_path / "papers.jsonl", SINCE, (), oai.Repository(url))


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("papers.jsonl.gz", None, "must be JSON lines, not .gz"),
        *(
            (f"papers{suffix}", None, f"must be JSON lines, not {suffix}")
            for suffix in (".parquet", ".csv", ".TXT", ".xlsx", ".zip", ".tsv", ".feather", ".1")
        ),
        ("notes.txt", b"my notes\n", "must be JSON lines, not .txt: name it .jsonl"),
        ("notes.jsonl", b"my notes\n", "exists and holds no papers"),
        ("notes", b"my notes\n", "exists and holds no papers"),
        ("list.json", b"[1, 2]\n", "exists and holds no papers"),
        ("folder", ..., "is a folder"),
    ],
)
def test_a_file_that_is_no_harvest_is_left_as_it_is(
    repository: Repository, tmp_path: Path, clock: Clock, name: str, content: Any, line: str
) -> None:
    out = tmp_path / name
    if content is ...:
        out.mkdir()
    elif content:
        out.write_bytes(content)
    with pytest.raises(ShelfmarkError, match=line):
        fetch(repository, out, clock)
    assert repository.asked == []
    assert left(tmp_path) == ({name} if content else set())


@pytest.mark.skipif(os.name == "nt", reason="links and permissions of POSIX")
@pytest.mark.parametrize(
    ("kind", "line"),
    [("loop", "cannot write .*Too many levels"), ("protected", "it is write-protected")],
)
def test_a_place_that_cannot_be_written_is_one_line_before_the_requests(
    repository: Repository, tmp_path: Path, clock: Clock, kind: str, line: str
) -> None:
    out = tmp_path / "papers.jsonl"
    if kind == "loop":
        out.symlink_to(out)
    else:
        out.write_bytes(b'{"id": "0704.0001"}\n')
        out.chmod(0o444)
    with pytest.raises(ShelfmarkError, match=line):
        fetch(repository, out, clock)
    assert repository.asked == []
    assert left(tmp_path) == {"papers.jsonl"}


def test_damaged_notes_are_one_line(repository: Repository, tmp_path: Path, clock: Clock) -> None:
    out, partial = tmp_path / "papers.jsonl", tmp_path / "papers.jsonl.partial"
    fetch(repository, out, clock)
    (tmp_path / "papers.jsonl.harvest.json").write_text('{"sets": 3}')
    with pytest.raises(ShelfmarkError, match=r"harvest\.json: damaged"):
        fetch(repository, out, clock, "")
    partial.write_bytes(b"no database" * 100)
    with pytest.raises(ShelfmarkError, match=r"partial: damaged .*remove it to start again"):
        fetch(repository, out, clock)


def command(repository: Repository, out: Path) -> subprocess.Popen[bytes]:
    words = ["harvest", "--since", SINCE, "--sets", "cs", "--out", str(out)]
    words += ["--url", repository.url, "--interval", "0.01"]
    return subprocess.Popen(
        [sys.executable, "-m", "invoke", "--search-root", str(ROOT), *words],
        cwd=out.parent, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_harvest_goes_on_to_the_same_file(
    repository: Repository, tmp_path: Path, undisturbed: bytes
) -> None:
    out, halfway, go = tmp_path / "papers.jsonl", threading.Event(), threading.Event()

    def stall(handler: oai_server.Handler, body: bytes) -> None:
        handler.send(body[:2000], length=len(body))
        halfway.set()
        go.wait(FOREVER)

    repository.faults = {4: stall}
    with command(repository, out) as run:
        assert halfway.wait(PATIENCE)
        run.send_signal(signal.SIGKILL)
        run.wait(PATIENCE)
    go.set()
    assert left(tmp_path) <= {"papers.jsonl.partial", "papers.jsonl.partial-journal"}
    with command(repository, out) as run:
        said, problems = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, problems
    assert out.read_bytes() == undisturbed
    assert repository.asked[4] == repository.asked[3]
    assert b"47 new papers, 0 changed, 0 deleted" in said
    assert said.endswith(b"Thank you to arXiv for use of its open access interoperability.\n")
    assert left(tmp_path) == {"papers.jsonl", "papers.jsonl.harvest.json"}
