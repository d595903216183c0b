"""Tiny transformers for tests, on synthetic papers; they need torch."""

from __future__ import annotations

from pathlib import Path

from shelfmark.config.load import load_config
from shelfmark.config.schema import Config
from tests.conftest import paths_in

PAPERS = ("data.options.papers=1200", "data.min_papers=20", "model.n_jobs=1")
TINY = ("model=transformer", "experiment=fast", *PAPERS)
ROBOT = "We train a robot arm for grasping with motion planning."


def settings_in(folder: Path, *overrides: str) -> Config:
    """Return the configuration of a tiny transformer, whose files are in a folder."""
    return load_config([*TINY, *paths_in(folder), *overrides])
