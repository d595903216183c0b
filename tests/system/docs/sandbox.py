"""A user's folder, in which the commands of the pages run."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from shelfmark.arxiv.papers import Paper
from shelfmark.data.sources import sample
from tests.support import packing, records
from tests.system.docs.commands import ROOT

# `uv run` as the tests know it: this interpreter, with what is installed beside it.
UV = f"""#!/bin/bash
[ "$1" = run ] && shift || exit 64
while [[ "$1" == --* ]]; do
    case "$1" in --extra | --group) shift 2 ;; *) shift ;; esac
done
command=$1 && shift
case "$command" in
    inv) exec {shlex.quote(sys.executable)} -m invoke "$@" ;;
    python) exec {shlex.quote(sys.executable)} "$@" ;;
    *) exec {shlex.quote(str(Path(sys.executable).parent))}/"$command" "$@" ;;
esac
"""
# A user waits until the service answers.
CURL = "retry = 120\nretry-delay = 1\nretry-connrefused\nfail-with-body\nno-progress-meter\n"


class Sandbox:
    """A user's folder: the project's files, a model, a snapshot beside it, and a service."""

    def __init__(self, home: Path, root: Path) -> None:
        self.folder, self.done = root / "shelfmark", set[str]()
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, names.decode().split("\0")):
            if (ROOT / name).is_file() and not name.startswith("tests/"):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        for name in ("models", "data"):
            shutil.copytree(home / name, self.folder / name, symlinks=True, dirs_exist_ok=True)
        (self.folder / "models" / "production").symlink_to("quick")
        papers = records.lines(
            [records.record(self._known(paper)) for _, paper in sample.read_records(None, 900)]
        )
        for place, content in (
            (root / "shared/arxiv/arxiv.zip", packing.zipped(papers)),
            (self.folder / "harvest/papers.jsonl", papers),
            (self.folder / "new.jsonl", b"".join(papers.splitlines(keepends=True)[:20])),
            (self.folder / "dumps/part1.jsonl", b"".join(papers.splitlines(keepends=True)[:30])),
            (self.folder / "dumps/part2.jsonl", b"".join(papers.splitlines(keepends=True)[20:50])),
            (root / "bin/uv", UV.encode()),
            (root / "bin/.curlrc", CURL.encode()),
        ):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        (root / "bin/uv").chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "src"),
            "HOME": str(root),
            "CURL_HOME": str(root / "bin"),
            "SHELFMARK_ADMIN_KEY": "admin-key-of-tests",
        }
        for name in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
            who = ["-c", "user.name=user", "-c", "user.email=user@example.org"]
            subprocess.run(["git", *who, *name], cwd=self.folder, env=self.env, check=True)

    @staticmethod
    def _known(paper: Paper) -> Paper:
        """Return a paper of the sample, its statistics in the place of the README's cs.AI."""
        swapped = tuple("cs.AI" if name == "stat.ML" else name for name in paper.categories)
        return replace(paper, categories=swapped)

    @contextmanager
    def bash(self, code: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
        """Run bash while the block does, and end all that it has started."""
        with (self.folder.parent / "output").open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", code.replace("8000", str(port))],
                cwd=self.folder, env={**self.env, "PORT": str(port)}, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                yield process
            finally:
                _end(process)

    def output(self) -> str:
        """Return the output of the last bash and of all processes that it started."""
        return (self.folder.parent / "output").read_text(encoding="utf-8", errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it has left behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        last_moment = time.monotonic() + 60
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            while time.monotonic() < last_moment:
                process.poll()  # or what has ended would count as there
                os.killpg(process.pid, 0)
                time.sleep(0.05)
        process.poll()
