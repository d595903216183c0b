"""Fixtures of all tests, among them a small model trained by the code of `shelfmark train`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from loguru import logger

from shelfmark.config.load import load_config
from shelfmark.core import console
from shelfmark.models import artifact
from shelfmark.training import train
from tests.support.gcs import emulator, gcs, no_google  # noqa: F401  # fixtures for all tests

# No example of Hypothesis has a deadline: a busy machine is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# Tests that a shell started in the background ignore Ctrl-C, and so would all their processes.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of processes are started: each would compile its libraries if none may keep the result.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Programs of the development group are found, however pytest itself was started.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

ROOT = Path(__file__).parents[1]
# Enough papers for every class to be learnt, few enough for seconds; one thread, so that a busy
# neighbour cannot slow the suite.
QUICK = (
    "experiment=fast",
    "data.options.papers=1500",
    "data.min_papers=20",
    "model.rounds=30",
    "model.stack.min_listed=20",
    "model.n_jobs=1",
    "predict.min_precision=0.75",
)


# Files whose tests take longest, the longest first: several processes share the files, and none is
# to begin a long one when the others are done.
LONGEST = (
    "system/docs/test_commands.py", "system/test_wheel.py", "system/models/test_dask.py",
    "system/training/test_interrupted_growth.py", "system/models/test_dask_rows.py",
    "system/service/test_shutdown.py", "system/service/test_workers.py",
    "system/service/test_chaos.py",
    "system/training/test_interrupted_training.py", "system/experiments/test_sweep.py",
    "system/training/test_wandb.py", "system/data/test_dvc.py", "system/monitoring/test_monitor.py",
    "system/test_tasks.py", "system/reports/test_report.py", "system/experiments/test_load_test.py",
    "system/experiments/test_bench_serve.py", "system/experiments/test_robustness.py",
    "system/cloud/test_job.py",
    "system/cloud/test_gcloud.py", "system/docs/test_site.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, then the rest of tests/system, then all others."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> tuple[int, bool]:
        file = item.path.relative_to(tests).as_posix()
        rank = LONGEST.index(file) if file in LONGEST else len(LONGEST)
        return rank, not file.startswith("system/")

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SHELFMARK_", "WANDB_")) or name == "PORT":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a model and its run record, as `shelfmark train` leaves them."""
    folder = tmp_path_factory.mktemp("home")
    console.configure_logging("WARNING")
    train.train_model(load_config([*QUICK, "name=quick", *paths_in(folder)]))
    return folder


@pytest.fixture(scope="session")
def model(home: Path) -> artifact.Model:
    """The trained model, opened as the service opens it."""
    return artifact.load(home / "models" / "quick", threads=1)


@pytest.fixture
def log() -> Iterator[Callable[[], str]]:
    """Everything logged since the test began."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="DEBUG", format="{level} {message}")
    yield lambda: "".join(lines)
    logger.remove(sink)


def paths_in(folder: Path) -> list[str]:
    """Return the overrides that keep everything a run writes inside a folder."""
    return [
        f'paths.{name}="{(folder / name).as_posix()}"' for name in ("data", "models", "reports")
    ]
