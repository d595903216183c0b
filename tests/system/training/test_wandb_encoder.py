"""Runs of encoders at W&B: recorded offline, read back from the file, and sent later."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from shelfmark.config.encoders import EncoderSettings
from shelfmark.embeddings import artifact
from shelfmark.training import tracking, wandb_sync
from tests.conftest import paths_in
from tests.support import hashed_encoder, wandb_record
from tests.support.wandb_server import WandbServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes and limits")
NAME = "recorded"
LOSSES = [{"train": 2.0, "validation": 1.5}, {"train": 1.0, "validation": 1.25}]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncoderSettings]:
    """The configuration of a run that has been recorded offline."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        hashed_encoder.register(patch)
        encoders = f"paths.encoders={home / 'encoders'}"
        settings = hashed_encoder.make_settings("tracking=wandb", encoders, *paths_in(home))
        with tracking.start_run(settings, NAME, {"key": "k", "git_commit": "c0ffee"}) as run:
            for epoch, losses in enumerate(LOSSES):
                run.log(epoch, losses)
            run.finish({"known_item_mrr": 0.75})
            folder = hashed_encoder.save_encoder(
                home / "encoders", ["one text"], NAME, sizes=[32], settings=settings
            )
            run.log_encoder(folder, artifact.read_card(folder))
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
    assert local["config"]["encoder"]["kind"] == "hashed"
    assert record.rows == [{"_step": step, **losses} for step, losses in enumerate(LOSSES)]
    best = {"best_round": 1, "best_validation": 1.25}
    assert local["summary"] == {"known_item_mrr": 0.75, **best}
    assert {key: record.summary[key] for key in local["summary"]} == local["summary"]


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
    assert (about["size"], about["sizes"], about["details"]) == (64, [32], card.details)
    assert (about["digest"], about["files"]) == (card.digest, card.files)
    staged = {entry.path: Path(entry.local_path) for entry in made.manifest.contents}
    assert {name: sha256(path) for name, path in staged.items()} == {
        "card.json": card.digest, **card.files
    }  # fmt: skip
    assert all(path.is_relative_to(reports / NAME / "wandb") for path in staged.values())


def test_an_offline_run_of_an_encoder_is_sent_once(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WandbServer() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        assert wandb_sync.sync_runs(reports) == 1
        ((_, run),) = server.runs.items()
        assert (run.name, run.group, run.ended) == (NAME, "k", True)
        assert run.summary["known_item_mrr"] == 0.75
        assert server.artifact("encoder")["committed"]
        assert wandb_sync.sync_runs(reports) == 0
