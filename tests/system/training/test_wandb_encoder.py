"""Runs of encoders at W&B: recorded offline, read back from the file, and sent later."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_encoder_config
from shelfmark.embeddings import artifact
from shelfmark.training import wandb_sync
from shelfmark.training.train_encoder import train_encoder
from tests.conftest import paths_in
from tests.support import wandb_record
from tests.support.wandb_server import WandbServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes and limits")
NAME = "recorded"
QUICK = [
    "data.options.papers=400", "data.min_papers=10", "encoder.size=16", "encoder.sizes=[8]",
    "encoder.epochs=2", "encoder.batch=64",
]  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncoderSettings]:
    """The configuration of a training that has been recorded offline."""
    home = tmp_path_factory.mktemp("home")
    places = [f"paths.encoders={home / 'encoders'}", *paths_in(home)]
    settings = load_encoder_config([*QUICK, "tracking=wandb", f"name={NAME}", *places])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        train_encoder(settings)
        yield settings


@pytest.fixture(scope="module")
def reports(settings: EncoderSettings) -> Path:
    return Path(settings.paths.reports)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_configuration_losses_and_summary_are_as_in_the_local_record(
    settings: EncoderSettings, reports: Path
) -> None:
    record = wandb_record.read(reports / NAME)
    local = orjson.loads((reports / NAME / "run.json").read_bytes())
    assert {key: record.config[key] for key in local["config"]} == local["config"]
    assert local["config"] == settings.model_dump(mode="json")
    lines = (reports / NAME / "history.jsonl").read_bytes().splitlines()
    history = [orjson.loads(line) for line in lines]
    assert [row["step"] for row in history] == [0, 1]
    assert record.rows == [{"_step": row.pop("step"), **row} for row in history]
    assert {key: record.summary[key] for key in local["summary"]} == local["summary"]
    figures = artifact.read_card(Path(settings.paths.encoders) / NAME).metrics["validation"]
    assert 0 < figures["known_item_mrr"] <= 1
    assert {key: local["summary"][key] for key in figures} == figures


def test_the_encoder_is_an_artifact_of_its_own_kind_and_name(
    settings: EncoderSettings, reports: Path
) -> None:
    found = wandb_record.read(reports / NAME).of("artifact")
    (made,) = [one for one in found if one.type == "encoder"]
    assert made.name == "shelfmark-encoder"
    assert not [one for one in found if one.type == "model"]
    assert set(made.aliases) == {"latest", NAME}
    folder = Path(settings.paths.encoders) / NAME
    card = artifact.read_card(folder)
    about = orjson.loads(made.metadata)
    assert (about["size"], about["sizes"], about["details"]) == (16, [8], card.details)
    assert (about["digest"], about["files"]) == (card.digest, card.files)
    staged = {entry.path: Path(entry.local_path) for entry in made.manifest.contents}
    assert {name: sha256(path) for name, path in staged.items()} == {
        "card.json": card.digest, **card.files
    }  # fmt: skip
    assert all(path.is_relative_to(reports / NAME / "wandb") for path in staged.values())


def test_an_offline_run_of_an_encoder_is_sent_once(
    settings: EncoderSettings, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WandbServer() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        assert wandb_sync.sync_runs(reports) == 1
        ((_, run),) = server.runs.items()
        card = artifact.read_card(Path(settings.paths.encoders) / NAME)
        assert (run.name, run.group, run.ended) == (NAME, card.key, True)
        assert run.summary["known_item_mrr"] == card.metrics["validation"]["known_item_mrr"]
        assert server.artifact("encoder")["committed"]
        assert wandb_sync.sync_runs(reports) == 0
