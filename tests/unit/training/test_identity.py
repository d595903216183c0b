"""The key of a training: the same for the same numbers, another for any that may differ."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from threadpoolctl import threadpool_limits

from shelfmark.config.load import load_config
from shelfmark.data import splits
from shelfmark.data.prepare import prepare_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact, families
from shelfmark.training import identity
from tests.conftest import QUICK, paths_in
from tests.support import hashed_encoder


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> splits.Splits:
    folder = tmp_path_factory.mktemp("home")
    return prepare_splits(load_config([*QUICK, *paths_in(folder)]))


def key(known: splits.Splits, *overrides: str, base: tuple[str, ...] = QUICK) -> str:
    return identity.key_of(load_config([*base, *overrides]), known)


@pytest.mark.parametrize(
    "override",
    [
        "seed=8",
        "features.min_df=4",
        "model.n_jobs=2",
        "model.rounds=31",
        "model.stack.scorers.svm.C=0.3",
        "+model.params.gamma=1",
    ],
)
def test_a_run_goes_on_only_from_stages_of_the_same_settings(
    known: splits.Splits, override: str
) -> None:
    assert key(known, override) != key(known)


def test_names_and_places_are_no_part_of_the_key(known: splits.Splits, tmp_path: Path) -> None:
    elsewhere = ["name=mine", "log_level=ERROR", "tracking=wandb", *paths_in(tmp_path)]
    assert key(known, *elsewhere, "predict.min_precision=0.9") == key(known)
    spelt_out = ("model.learning_rate=0.2", "model.early_stopping=10", "model.rounds=30",
                 "features.ngram_range=[1,1]", "features.chosen_terms=500",
                 "model.stack.min_listed=20", "model.n_jobs=1")  # fmt: skip
    assert key(known, base=spelt_out) == key(known)


def test_a_run_goes_on_only_from_stages_of_the_same_data(
    known: splits.Splits, tmp_path: Path
) -> None:
    (tmp_path / splits.CARD).write_bytes(orjson.dumps(known.card | {"kept": 1}))
    assert key(splits.open_splits(tmp_path)) != key(known)


def test_all_cores_are_as_many_threads_as_there_are_cores(
    known: splits.Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    three = key(known, "model.n_jobs=null")
    assert three == key(known, "model.n_jobs=3")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert three != key(known, "model.n_jobs=null")


def test_a_run_goes_on_only_on_as_many_threads_of_the_libraries(known: splits.Splits) -> None:
    with threadpool_limits(1):
        one = key(known)
    with threadpool_limits(2):
        assert key(known) != one
    with threadpool_limits(1):
        assert key(known) == one


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        ("models/boosted/heads.py", True),
        ("models/boosted/dask/workers.py", True),
        ("tfidf/tokens.py", True),
        ("data/labels.py", True),
        ("core/checkpoint.py", True),
        ("embeddings/static/encoder.py", True),
        ("service/app.py", False),
        ("monitoring/reference.py", False),
        ("core/console.py", False),
    ],
)
def test_a_run_is_resumed_only_by_the_code_that_computes_the_same(
    known: splits.Splits,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    module: str,
    counts: bool,
) -> None:
    before = key(known)
    shutil.copytree(identity.PACKAGE, tmp_path / "code")
    monkeypatch.setattr(identity, "PACKAGE", tmp_path / "code")
    family = tmp_path / "code" / "models" / "boosted"
    monkeypatch.setattr(families, "folder_of", lambda kind: family)
    assert key(known) == before
    with (tmp_path / "code" / module).open("a") as file:
        file.write("# changed, committed or not")
    assert (key(known) != before) == counts


def test_a_run_goes_on_only_with_the_same_encoder(
    known: splits.Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed_encoder.register(monkeypatch)
    settings = [f"paths.encoders={tmp_path}", "model.neighbours.encoder=latest"]
    with pytest.raises(ShelfmarkError, match="no encoder in"):
        key(known, *settings)
    hashed_encoder.save_encoder(tmp_path, ["a robot arm"], "first")
    first = key(known, *settings)
    assert first == key(known, *settings) != key(known)
    hashed_encoder.save_encoder(tmp_path, ["a robot hand"], "second")
    assert key(known, *settings) != first


def test_a_run_is_resumed_only_by_the_same_libraries(
    known: splits.Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key(known)
    versions = artifact.versions(["boosted"]) | {"scikit-learn": "0.1"}
    monkeypatch.setattr(artifact, "versions", lambda kinds: versions)
    assert key(known) != before


def test_the_key_covers_all_modules_that_fitting_imports() -> None:
    # These read and write files, name types or print: they compute no number of a model.
    others = {"errors", "config.models", "config.problems", "config.schema", "config.sections",
              "core.arrays",
              "core.checks", "core.console", "core.disk", "core.environment", "core.files",
              "core.memory", "core.project",
              "core.output.targets", "core.storage", "models.card", "models.verdicts",
              "artifacts.card",
              "artifacts.aliases", "artifacts.digested", "artifacts.store", "artifacts.versions",
              "config.encoders", "embeddings.artifact", "embeddings.card", "embeddings.families",
              "embeddings.locate", "embeddings.protocol", "data.splits"}  # fmt: skip
    code = "import sys, shelfmark.models.boosted.fitting.fit\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {
        name.removeprefix("shelfmark.")
        for name in done.stdout.split()
        if name.startswith("shelfmark.") and not hasattr(importlib.import_module(name), "__path__")
    }
    covered = {
        ".".join(path.relative_to(identity.PACKAGE).with_suffix("").parts)
        for kind in ("boosted", "transformer")  # as with a network in the stack
        for path in identity.code_files(kind)
    }
    assert imported - covered == others


def test_the_key_of_an_encoder_covers_all_modules_that_its_training_imports() -> None:
    # These read and write files, name types or print: they compute no number of an encoder.
    others = {"errors", "config.models", "config.schema", "config.sections", "config.encoders",
              "core.arrays", "core.checks", "core.console", "core.disk", "core.environment",
              "core.files", "core.memory", "core.project", "core.output.targets", "core.storage",
              "arxiv.taxonomy", "arxiv.text"}  # fmt: skip
    code = (
        "import sys, shelfmark.embeddings.static.training, shelfmark.embeddings.static.rotation\n"
        "import shelfmark.embeddings.static.encoder, shelfmark.embeddings.static.start\n"
        "import shelfmark.embeddings.static.terms\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {
        name.removeprefix("shelfmark.")
        for name in done.stdout.split()
        if name.startswith("shelfmark.") and not hasattr(importlib.import_module(name), "__path__")
    }
    covered = {
        ".".join(path.relative_to(identity.PACKAGE).with_suffix("").parts)
        for path in identity.encoder_files("static")
    }
    assert imported - covered == others
