"""What the tests of deployment share: an account, and a gcloud that records its commands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from shelfmark.cloud.account import Account
from shelfmark.cloud.setup import make_account
from tests.conftest import ROOT
from tests.unit.cli.conftest import typed  # noqa: F401


class Project:
    """What the program that stands for gcloud knows and has received."""

    def __init__(self, file: Path) -> None:
        self.file = file
        lists = ("calls", "given", "made", "refused", "revisions", "traffic", "documents")
        start: dict[str, Any] = {name: [] for name in lists}
        start |= {"objects": {}, "images": {}, "account": "me@example.org"}
        self.update(**start, address="http://127.0.0.1:9")

    def update(self, **values: Any) -> None:
        known = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.file.write_text(json.dumps(known | values))

    def __getitem__(self, key: str) -> Any:
        return json.loads(self.file.read_text())[key]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    if sys.platform == "win32":
        pytest.skip("a program on the path is a script here")
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "gcloud"
    script = ROOT / "tests" / "support" / "gcloud.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{script}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    state = tmp_path / "project.json"
    monkeypatch.setenv("FAKE_GCLOUD_STATE", str(state))
    return Project(state)


@pytest.fixture
def ours() -> Account:
    return make_account("my-project", "europe-west4", "my-bucket")
