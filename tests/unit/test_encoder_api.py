"""`shelfmark.Encoder`: papers in any form become rows of unit length, as `embed` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import shelfmark
from shelfmark.embeddings import artifact
from tests.support import hashed_encoder

TITLE = "Grasping unseen objects"
ABSTRACT = "We train a robot arm to grasp objects that it has not seen before."
OTHER = "We measure the rotation curves of two hundred galaxies."


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hashed_encoder.register(monkeypatch)
    return hashed_encoder.save_encoder(tmp_path / "encoders", [ABSTRACT, OTHER], sizes=[32, 16])


@pytest.fixture
def encoder(folder: Path) -> shelfmark.Encoder:
    return shelfmark.Encoder.load(folder)


def test_an_encoder_is_loaded_by_folder_name_or_alias(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent.parent)
    digest = artifact.read_card(folder).digest
    for loaded in (
        shelfmark.Encoder.load(),
        shelfmark.Encoder.load("encoders/latest"),
        shelfmark.Encoder.load("hashed", Path("encoders"), threads=1),
    ):
        assert (loaded.name, loaded.digest, loaded.size) == ("hashed", digest, 64)
        assert loaded.sizes == [16, 32, 64]
        assert repr(loaded) == "<Encoder hashed: 64 numbers>"
    with pytest.raises(shelfmark.ShelfmarkError, match="no encoder in encoders/missing: train one"):
        shelfmark.Encoder.load("missing")
    with pytest.raises(shelfmark.ShelfmarkError, match="load: 3: should be a name"):
        shelfmark.Encoder.load(3)  # type: ignore[arg-type]


def test_papers_in_any_form_are_the_same_rows(folder: Path, encoder: shelfmark.Encoder) -> None:
    opened = artifact.load(folder)
    rows = opened.encode([opened.text(TITLE, ABSTRACT), OTHER])
    frame = pd.DataFrame({"title": [TITLE, None], "abstract": [ABSTRACT, OTHER]})
    for papers in ([(TITLE, ABSTRACT), OTHER], iter([(TITLE, ABSTRACT), ("", OTHER)]), frame):
        assert np.array_equal(encoder.encode(papers), rows)
    assert np.array_equal(encoder.encode((TITLE, ABSTRACT)), rows[:1])
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)


def test_vectors_are_cut_to_one_of_the_sizes(encoder: shelfmark.Encoder) -> None:
    whole, cut = encoder.encode([ABSTRACT, OTHER]), encoder.encode([ABSTRACT, OTHER], size=16)
    assert cut.shape == (2, 16)
    assert np.allclose(cut, whole[:, :16] / np.linalg.norm(whole[:, :16], axis=1, keepdims=True))
    for size in (0, 17, 128, True):
        with pytest.raises(shelfmark.ShelfmarkError, match="of this encoder have 16, 32, 64 num"):
            encoder.encode(OTHER, size=size)


def test_a_paper_without_a_text_is_a_zero_row(encoder: shelfmark.Encoder) -> None:
    vectors = encoder.encode(["", (" ", "\n"), OTHER, "word " * 20_000])
    assert np.allclose(np.linalg.norm(vectors, axis=1), [0, 0, 1, 1])


def test_many_papers_are_encoded_in_batches(
    encoder: shelfmark.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    papers = [f"word{number} and galaxies" for number in range(8)]
    whole = encoder.encode(papers)
    monkeypatch.setattr("shelfmark.api.papers.BATCH", 3)
    assert np.array_equal(encoder.encode(papers), whole)


@pytest.mark.parametrize("papers", [[], 3, b"a", {"a": 1}, [3], [("a", "b", "c")], np.array(1)])
def test_what_is_no_paper_is_one_line(encoder: shelfmark.Encoder, papers: Any) -> None:
    with pytest.raises(shelfmark.ShelfmarkError, match="^[^\n]+$"):
        encoder.encode(papers)
