"""A second family of encoders is saved and opened by the code that serves the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shelfmark.embeddings import artifact
from shelfmark.errors import ShelfmarkError
from tests.support import hashed_encoder

TEXTS = ["A robot arm\nIt grasps objects", "Dark matter\nA halo of dark matter", "A robot grasps"]


@pytest.fixture
def folder(_hashed_family: None, tmp_path: Path) -> Path:
    return hashed_encoder.save_encoder(tmp_path / "encoders", TEXTS, sizes=[16, 32])


def test_a_saved_encoder_is_opened_by_its_alias(folder: Path) -> None:
    opened = artifact.load(folder.parent / "latest")
    assert (opened.name, opened.size, opened.card.sizes) == ("hashed", 64, [16, 32])
    assert opened.digest == artifact.read_card(folder).digest
    assert opened.card.arrays[hashed_encoder.ROWS].shape == (4096, 64)


def test_vectors_of_texts_that_share_words_are_near(folder: Path) -> None:
    vectors = artifact.load(folder).encode(TEXTS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[1] + 0.3


def test_a_text_without_words_is_a_zero_row(folder: Path) -> None:
    vectors = artifact.load(folder).encode(["", " ", "a robot"])
    assert not vectors[:2].any()
    assert vectors[2].any()


def test_an_encoder_whose_extra_is_not_installed_is_refused_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashed_encoder.FAMILY, "needs", {"json": "x", "nowhere": "minilm"})
    monkeypatch.setattr(hashed_encoder.FAMILY, "libraries", ("nowhere",))
    with pytest.raises(ShelfmarkError, match="hashed needs nowhere, .*: uv sync --extra minilm$"):
        artifact.load(folder)


def test_an_encoder_with_a_changed_file_is_refused(folder: Path) -> None:
    rows = bytearray((folder / hashed_encoder.ROWS).read_bytes())
    rows[-1] ^= 1
    (folder / hashed_encoder.ROWS).write_bytes(rows)
    with pytest.raises(ShelfmarkError, match=r"rows\.npy is missing or not the file"):
        artifact.load(folder)
