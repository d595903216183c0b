"""`landscape` of the command line: the pictures that it writes, and its mistakes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from shelfmark.artifacts.card import TrainingData
from shelfmark.data.splits import open_splits
from shelfmark.embeddings import artifact
from shelfmark.embeddings.card import EncoderCard
from shelfmark.models.artifact import Model
from tests.support import hashed_encoder
from tests.unit.cli.conftest import Typed


@pytest.fixture
def encoders(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an encoder of the splits of the model of all tests."""
    hashed_encoder.register(monkeypatch)
    folder = Path(model.card.data.folder)
    splits = open_splits(folder)
    texts = splits.read("train", ["text"])["text"].to_pylist()
    saved = artifact.load(hashed_encoder.save_encoder(tmp_path / "plain", texts))
    counts = dict(splits.card["splits"])
    data = TrainingData(str(folder), splits.digest, "sample", True, counts)
    card: EncoderCard = dataclasses.replace(saved.card, name="mapped", data=data)
    artifact.save(saved.encoder, card, tmp_path / "encoders")
    return tmp_path / "encoders"


def test_pictures_and_their_data_are_named(typed: Typed, encoders: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    words = ("--encoders", str(encoders), "--reports", str(reports), "--method", "pca")
    status, out, _ = typed("landscape", *words, "--papers", "60")
    folder = reports / "encoders" / "mapped-validation"
    assert status == 0
    assert out.splitlines() == [
        str(folder / name)
        for name in ("landscape-group.png", "landscape-archive.png", "landscape-category.png",
                     "landscape.json")
    ]  # fmt: skip
    assert all(Path(line).is_file() for line in out.splitlines())


def test_other_splits_than_those_of_the_encoder_are_refused(typed: Typed, encoders: Path) -> None:
    opened = artifact.load(encoders / "mapped")
    data = dataclasses.replace(opened.card.data, card_sha256="0" * 64)
    artifact.save(opened.encoder, dataclasses.replace(opened.card, name="b", data=data), encoders)
    words = ("--encoders", str(encoders), "--encoder", "b", "--method", "pca")
    status, out, error = typed("landscape", *words)
    assert (status, out) == (1, "")
    assert error.endswith(f"{data.folder} is not the data b was trained on\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--papers", "0"], "error: --papers: 0 is not in the range 1<=x<=50000"),
        (["--papers", "60000"], "error: --papers: 60000 is not in the range"),
        (["--method", "umap"], "error: --method: 'umap' is not one of 'tsne', 'pca'"),
        (["--method", "pca", "--split", "dev"], "error: no split 'dev'; there are train"),
        (["--method", "pca", "--encoder", "c"], "error: no encoder in "),
    ],
)
def test_a_mistake_is_one_line(typed: Typed, encoders: Path, words: list[str], line: str) -> None:
    status, _, error = typed("landscape", "--encoders", str(encoders), *words)
    assert status == 1
    assert error.startswith(line)
    assert error.count("\n") == 1
