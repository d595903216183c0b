"""A small library: a model, a real encoder, and an index of synthetic papers with its landscape."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx2 as httpx

from shelfmark.config.load import load_encoder_config, load_index_config
from shelfmark.data.splits import open_recorded_splits
from shelfmark.embeddings import artifact
from shelfmark.embeddings.locate import locate_encoder
from shelfmark.evaluation.landscape.run import compute_landscape
from shelfmark.search.build.build import build_index
from shelfmark.training.train_encoder import train_encoder
from tests.support.moments import until

PAPERS = ("experiment=fast", "data.options.papers=600")
ENCODER = ("name=small", "data.min_papers=5", "encoder.size=32", "encoder.sizes=[16]",
           "encoder.epochs=3", "encoder.n_jobs=1")  # fmt: skip
IN_LANDSCAPE = 150


def make_library(folder: Path, models: Path) -> None:
    """Put copies of models, an encoder trained on the sample, and an index of it into a folder."""
    shutil.copytree(models, folder / "models", symlinks=True)
    places = [f"paths.{name}='{folder / name}'" for name in ("data", "encoders")]
    reports = f"paths.reports='{folder / 'reports'}'"
    train_encoder(load_encoder_config([*PAPERS, *ENCODER, *places, reports]))
    index = folder / "index"
    settings = load_index_config([*PAPERS, *places, f"paths.index='{index}'"])
    with locate_encoder("small", settings.paths.encoders) as located:
        build_index(settings, located)
    encoder = artifact.load(folder / "encoders" / "small")
    data = encoder.card.data
    splits = open_recorded_splits(Path(data.folder), data.card_sha256, encoder.name)
    landscape = compute_landscape(encoder, splits, "train", IN_LANDSCAPE, "pca", seed=1)
    (index / "landscape.json").write_bytes(landscape.to_json())


def wait_until_searchable(client: httpx.Client) -> None:
    """Wait until a service has opened its index."""

    def searchable() -> bool:
        state: dict[str, Any] = client.get("/ready").json().get("index", {})
        assert state.get("status") != "failed", state
        return state.get("status") == "ready"

    until(searchable)
