"""The tests of Milvus against a real server; those on a file are in tests/unit/search/vectors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import milvus_server
from tests.support.moments import PATIENCE

pytest.importorskip("milvus", reason="the group milvus-server is not installed")
pytest.importorskip("pymilvus", reason="the extra milvus is not installed")

ROOT = Path(__file__).parents[3]
TESTS = "tests/unit/search/vectors/test_milvus.py"


def test_a_server_finds_the_papers_that_a_file_finds(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if reason := milvus_server.require_namespaces():
        pytest.skip(f"a network namespace cannot be made: {reason}")
    program = pytestconfig.cache.mkdir("milvus")  # 250 MB that take seconds to unpack
    module = [sys.executable, "-m", milvus_server.__name__, str(program), str(tmp_path), TESTS]
    done = subprocess.run(
        [*milvus_server.isolate(), *module],
        capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
    assert "1 skipped" in done.stdout  # of files alone
