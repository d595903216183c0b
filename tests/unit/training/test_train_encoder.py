"""One training of an encoder: what it writes, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_encoder_config
from shelfmark.core import files
from shelfmark.embeddings import artifact
from shelfmark.errors import ShelfmarkError
from shelfmark.training import train_encoder as training
from shelfmark.training.train_encoder import train_encoder


def small(folder: Path, *overrides: str) -> EncoderSettings:
    return load_encoder_config(
        [
            f"paths.data={folder / 'data'}", f"paths.encoders={folder / 'encoders'}",
            f"paths.reports={folder / 'reports'}", "data.options.papers=600",
            "encoder.size=8", "encoder.sizes=[4]", "encoder.epochs=2", "encoder.n_jobs=1",
            *overrides,
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train_encoder(small(folder, "name=first"))
    return folder


def test_the_folder_holds_a_card_and_arrays_that_latest_names(root: Path) -> None:
    opened = artifact.load(root / "encoders" / "latest")
    assert opened.name == "first"
    card = opened.card
    assert (card.kind, card.size, card.sizes) == ("static", 8, [4])
    assert card.details["terms"] > 100
    assert {"terms", "epochs"} <= card.seconds.keys()
    assert {"known_item_mrr", "known_item_r10", "same_shelf_p10"} <= card.metrics[
        "validation"
    ].keys()
    assert card.data.papers["train"] > card.data.papers["test"] > 0
    names = {path.name for path in (root / "encoders" / "first").iterdir()}
    assert names == card.files.keys() | {"card.json"}
    texts = [opened.text("Robot grasping", "We study grasping."), ""]
    assert opened.encode(texts).shape == (2, 8)


def test_the_record_holds_each_epoch_and_the_figures(root: Path) -> None:
    history = (root / "reports" / "first" / "history.jsonl").read_bytes().splitlines()
    steps = [orjson.loads(line) for line in history]
    assert [step["step"] for step in steps] == [0, 1]
    assert all(step["train"] > 0 for step in steps)
    run = orjson.loads((root / "reports" / "first" / "run.json").read_bytes())
    assert run["config"]["encoder"]["kind"] == "static"
    assert run["summary"]["known_item_mrr"] > 0


def test_a_name_is_taken_once(root: Path) -> None:
    before = files.sha256(root / "encoders" / "first" / "card.json")
    with pytest.raises(ShelfmarkError, match=r"name=first: .* exists already"):
        train_encoder(small(root, "name=first"))
    assert files.sha256(root / "encoders" / "first" / "card.json") == before


def test_the_same_training_makes_the_same_files(root: Path) -> None:
    first = artifact.read_card(root / "encoders" / "first")
    second = artifact.read_card(train_encoder(small(root, "name=second")).folder)
    assert (first.key, first.files) == (second.key, second.files)
    other = artifact.read_card(train_encoder(small(root, "name=third", "seed=8")).folder)
    assert other.key != first.key
    assert other.files != first.files


def test_a_run_that_was_killed_after_saving_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    settings = small(tmp_path, "name=only")
    with monkeypatch.context() as patch:
        patch.setattr(training.tracking.Recorder, "log_encoder", kill)
        with pytest.raises(KilledError):
            train_encoder(settings)
    assert any((tmp_path / "encoders").glob(".unfinished-*"))
    result = train_encoder(settings)
    assert result.metrics is None
    assert not any((tmp_path / "encoders").glob(".unfinished-*"))
    assert artifact.load(tmp_path / "encoders" / "latest").name == "only"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "encoder.pkl").write_bytes(b"x"), "not the file its card names"),
        (lambda folder: (folder / "card.json").unlink(), "no encoder in"),
        (lambda folder: (folder / "card.json").write_bytes(b"{}"), "no card of an encoder"),
        (
            lambda folder: (folder / "01-staticencoder-rows.npy").write_bytes(b""),
            "not the file its card names",
        ),
    ],
    ids=["structure", "no card", "another card", "empty array"],
)
def test_a_damaged_encoder_is_refused_in_one_line(
    root: Path, tmp_path: Path, damage: object, reason: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(root / "encoders" / "first", folder)
    assert callable(damage)
    damage(folder)
    with pytest.raises(ShelfmarkError, match=reason) as refused:
        artifact.load(folder)
    assert "\n" not in str(refused.value)


def test_a_card_that_was_changed_is_another_encoder(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="another encoder now"):
        artifact.load(root / "encoders" / "first", digest="0" * 64)
    opened = artifact.load(root / "encoders" / "first")
    assert np.isfinite(opened.encode(["robot"])).all()
