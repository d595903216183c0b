"""The shape of the package, beside the layers of rooms that import-linter holds."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "shelfmark"
MODULES = {
    ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): file
    for file in SOURCE.rglob("*.py")
    if file != SOURCE / "__init__.py"
}


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("wandb", {"training.wandb", "experiments.sweeps.wandb"}),
        ("optuna", {"experiments.sweeps.optuna"}),
        ("hydra", {"config.load"}),
        ("matplotlib", {"evaluation.charts", "experiments.robustness.charts"}),
        ("dask", {"models.boosted.dask.forest"}),
        (
            "distributed",
            {f"models.boosted.dask.{name}" for name in ("workers", "forest", "engine")},
        ),
        ("dvc", {"data.dvc"}),
        ("fsspec", {"core.storage", "monitoring.shipping"}),
        ("evidently", {"monitoring.statistics"}),
    ],
)
def test_a_heavy_library_is_named_where_it_belongs(name: str, home: set[str]) -> None:
    naming = {
        module
        for module, file in MODULES.items()
        if f"import {name}" in (text := file.read_text(encoding="utf-8")) or f"from {name}" in text
    }
    assert naming == home


def loaded_by(statement: str) -> set[str]:
    """Return the libraries that a statement brings into a fresh interpreter."""
    names = modules_after(statement) - modules_after("pass")  # some install themselves at its start
    return {name.partition(".")[0] for name in names}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_serving_needs_no_training_library() -> None:
    heavy = {
        "hydra", "omegaconf", "matplotlib", "wandb", "dvc", "google", "invoke", "dask", "evidently",
    }  # fmt: skip
    assert (
        not loaded_by("import shelfmark.service.server; shelfmark.service.server.create()") & heavy
    )


def test_serving_works_without_what_only_training_needs() -> None:
    # As in the service's image, which leaves them out.
    absent = ["hydra", "invoke", "matplotlib", "pandas", "pyarrow"]
    code = f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n"
    assert "fastapi" in loaded_by(
        f"{code}import shelfmark.service.server; shelfmark.service.server.create()"
    )


def test_sharing_work_out_needs_no_model_library() -> None:
    assert not loaded_by("import shelfmark.models.predict") & {
        "sklearn",
        "xgboost",
        "scipy",
        "pandas",
    }


def test_training_needs_no_tracking_library_and_no_web_server() -> None:
    heavy = {"wandb", "dvc", "google", "fastapi", "dask", "evidently"}
    assert not loaded_by("import shelfmark.cloud.job") & heavy


def test_a_file_and_a_folder_stay_readable() -> None:
    long = {x: n for x, file in MODULES.items() if (n := len(file.read_text().splitlines())) > 500}
    assert not long
    folders = Counter(file.parent for file in MODULES.values() if file.stem != "__init__")
    assert not {folder: count for folder, count in folders.items() if count > 16}
    assert {file.name for file in SOURCE.glob("*.py")} <= {"__init__.py", "api.py", "errors.py"}
