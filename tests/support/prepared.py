"""Fixtures of the tests of the preparation: a snapshot, its splits, and how to read them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shelfmark.arxiv.papers import Paper
from shelfmark.config.load import load_config
from shelfmark.config.schema import Config, DataConfig
from shelfmark.core import console
from shelfmark.data import prepare, sources
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import SPLITS, Splits
from tests.support.records import record, write

PAPERS = [
    paper
    for paper in sources.read_papers("sample", None, {"papers": 1500})
    if isinstance(paper, Paper)
]


@pytest.fixture(scope="session")
def base() -> Config:
    return load_config(["data=snapshot", "data.min_papers=20"])


@pytest.fixture
def settings(base: Config, tmp_path: Path) -> Callable[..., Config]:
    """Make a configuration that writes below this test's folder, some data keys changed."""

    def make(path: Path | str | list[str] | None, **changes: Any) -> Config:
        named = str(path) if isinstance(path, Path) else path
        values = base.data.model_dump() | {"path": named} | changes
        data = DataConfig.model_validate(values)
        paths = base.paths.model_copy(update={"data": str(tmp_path / "data")})
        return base.model_copy(update={"data": data, "paths": paths})

    return make


@pytest.fixture(scope="session")
def snapshot_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("source") / "papers.json", [record(p) for p in PAPERS])


@pytest.fixture(scope="session")
def splits(base: Config, snapshot_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """The splits of the sample's papers, written as a snapshot and read back."""
    folder = tmp_path_factory.mktemp("splits")
    overrides = [f'data.path="{snapshot_file}"', f'paths.data="{folder}"', "data.min_papers=20"]
    return prepare_splits(load_config(["data=snapshot", *overrides]))


def rows(splits: Splits) -> list[dict[str, Any]]:
    return [row | {"split": split} for split in SPLITS for row in splits.read(split).to_pylist()]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def adds_up(card: dict[str, Any]) -> bool:
    counted = {split: sum(card["labels"][split].values()) for split in SPLITS}
    return (
        card["read"] == card["kept"] + sum(card["dropped"].values())
        and card["kept"] == sum(card["splits"].values())
        and counted == card["splits"]
        and all(number > 0 for number in card["dropped"].values())
    )


def labels_of(splits: Splits) -> list[str]:
    return sorted({label for split in SPLITS for label in splits.card["labels"][split]})


def refused(settings: Config, capsys: pytest.CaptureFixture[str]) -> str:
    """Prepare as a command does; return the one line it ends with, nothing left on the disk."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught, console.one_line_errors():
        prepare_splits(settings)
    assert caught.value.code == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    (line,) = errors
    root = Path(settings.paths.data)
    assert not root.exists() or list(root.iterdir()) == []
    return line


PREPARE = """
import sys
from shelfmark.core import console
from shelfmark.data import prepare
from shelfmark.config import schema

console.configure_logging("ERROR")
settings = schema.Config.model_validate_json(sys.argv[1])
"""


def prepare_elsewhere(
    code: str, settings: Config, folder: Path, **environment: str
) -> subprocess.Popen[str]:
    """Start a process of its own that prepares into a folder."""
    paths = settings.paths.model_copy(update={"data": str(folder)})
    settings = settings.model_copy(update={"paths": paths})
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE + code, settings.model_dump_json()],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files too are cleaned by several processes, in many chunks."""
    monkeypatch.setattr(prepare, "WORTH_SHARING", 0)
    monkeypatch.setattr(prepare, "CHUNK", 70)
