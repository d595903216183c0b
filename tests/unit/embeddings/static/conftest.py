"""A small static encoder, trained on the synthetic papers."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfmark.config.encoders import EncoderSettings
from shelfmark.config.load import load_encoder_config
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from shelfmark.embeddings.static.encoder import StaticEncoder
from shelfmark.embeddings.static.family import FAMILY


def small(folder: Path, *overrides: str) -> EncoderSettings:
    return load_encoder_config(
        [
            f"paths.data={folder}", "data.options.papers=800", "data.min_papers=1",
            "encoder.size=16", "encoder.sizes=[4]", "encoder.epochs=3", "encoder.n_jobs=1",
            *overrides,
        ]
    )  # fmt: skip


@pytest.fixture(scope="package")
def settings(tmp_path_factory: pytest.TempPathFactory) -> EncoderSettings:
    return small(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="package")
def splits(settings: EncoderSettings) -> Splits:
    return prepare_splits(settings)


@pytest.fixture(scope="package")
def encoder(settings: EncoderSettings, splits: Splits) -> StaticEncoder:
    fitted = FAMILY.fit(
        settings, splits.read("train"), splits.read("validation"), lambda *_: None
    ).encoder
    assert isinstance(fitted, StaticEncoder)
    return fitted
