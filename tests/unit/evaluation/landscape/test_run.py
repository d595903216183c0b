"""`landscape`: pictures of each level that tells papers apart, and the data for a page."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import orjson
import pytest

from shelfmark.arxiv import taxonomy
from shelfmark.config.load import load_config
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from shelfmark.embeddings import artifact
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.landscape.records import SIDE, Landscape, scale_places
from shelfmark.evaluation.landscape.run import compute_landscape, draw_levels, write_landscape
from tests.conftest import QUICK, paths_in
from tests.support import hashed_encoder


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("landscape")
    return prepare_splits(load_config([*QUICK, *paths_in(folder)]))


@pytest.fixture
def encoder(splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenEncoder:
    hashed_encoder.register(monkeypatch)
    texts = splits.read("train", ["text"])["text"].to_pylist()
    return artifact.load(hashed_encoder.save_encoder(tmp_path / "encoders", texts))


@pytest.fixture
def landscape(encoder: OpenEncoder, splits: Splits) -> Landscape:
    return compute_landscape(encoder, splits, "validation", 100, "pca", 7)


def test_papers_of_the_split_are_placed_by_their_vectors(
    landscape: Landscape, encoder: OpenEncoder, splits: Splits
) -> None:
    papers, table = landscape.papers, splits.read("validation")
    assert len(papers.id) == len(set(papers.id)) == 100
    rows = {ident: row for row, ident in enumerate(table["id"].to_pylist())}
    for ident, title, category in zip(papers.id, papers.title, papers.category, strict=True):
        assert table["title"][rows[ident]].as_py() == title
        assert table["categories"][rows[ident]].as_py()[0] == landscape.categories[category]
    places = landscape.places
    assert (places.min(), places.max()) == (0, SIDE)
    assert (landscape.encoder, landscape.digest) == ("hashed", encoder.digest)
    again = compute_landscape(encoder, splits, "validation", 100, "pca", 7)
    assert again.papers == landscape.papers
    other = compute_landscape(encoder, splits, "validation", 100, "pca", 8)
    assert other.papers.id != papers.id


def test_a_paper_whose_vector_is_zero_is_left_out(encoder: OpenEncoder, splits: Splits) -> None:
    class Forgetful:
        size = 64

        def encode(self, texts: list[str]) -> np.ndarray:
            vectors = encoder.encoder.encode(texts)
            vectors[::10] = 0
            return vectors

    half = dataclasses.replace(encoder, encoder=Forgetful())
    landscape = compute_landscape(half, splits, "validation", 50, "pca", 7)
    assert (landscape.left_out, len(landscape.papers.id)) == (5, 45)


def test_pictures_and_data_are_written(landscape: Landscape, tmp_path: Path) -> None:
    written = write_landscape(landscape, tmp_path / "reports")
    folder = tmp_path / "reports" / "encoders" / "hashed-validation"
    assert sorted(folder.iterdir()) == sorted(written)
    assert {path.name for path in written} == {
        "landscape-group.png", "landscape-archive.png", "landscape-category.png", "landscape.json",
    }  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written[:-1])
    read = orjson.loads((folder / "landscape.json").read_bytes())
    assert Landscape.model_validate(read) == landscape
    assert list(read["papers"]) == ["id", "title", "x", "y", "category"]


def test_names_that_two_categories_share_are_told_apart(landscape: Landscape) -> None:
    [axes] = draw_levels(landscape)["landscape-category.png"].axes
    written = {" ".join(text.get_text().split()) for text in axes.texts}
    assert {"Machine Learning (cs.LG)", "Machine Learning (stat.ML)", "Robotics"} <= written
    assert len(written) == len(landscape.categories)


def test_a_level_that_tells_no_more_papers_apart_has_no_picture(landscape: Landscape) -> None:
    one_archive = [taxonomy.archive_of(name) == "cs" for name in landscape.categories]
    chosen = [k for k, code in enumerate(landscape.papers.category) if one_archive[code]]
    papers = {
        name: [column[k] for k in chosen]
        for name, column in landscape.papers.model_dump().items()
    }  # fmt: skip
    names = sorted({landscape.categories[code] for code in papers["category"]})
    papers["category"] = [names.index(landscape.categories[code]) for code in papers["category"]]
    cs = Landscape.model_validate(landscape.model_dump() | {"categories": names, "papers": papers})
    assert len(names) > 1
    assert list(draw_levels(cs)) == ["landscape-category.png"]


def test_a_category_that_is_too_coarse_is_a_label_of_its_group(landscape: Landscape) -> None:
    names = sorted({*landscape.categories, "cond-mat"})
    papers = landscape.papers.model_copy(
        update={"category": [names.index("cond-mat")] * len(landscape.papers.id)}
    )
    coarse = landscape.model_copy(update={"categories": names, "papers": papers})
    codes, labels = coarse.labels_at("category")
    assert {labels[code] for code in codes} == {"cond-mat"}
    codes, labels = coarse.labels_at("group")
    assert {labels[code] for code in codes} == {"physics"}


def test_scaled_places_keep_their_shape() -> None:
    places = np.array([[0.0, 0.0], [4.0, 1.0], [2.0, 0.5]])
    scaled = scale_places(places)
    assert scaled.tolist() == [[0, 3750], [SIDE, 6250], [5000, 5000]]
    assert scale_places(np.ones((3, 2))).tolist() == [[5000, 5000]] * 3


def test_an_unknown_split_is_one_line(encoder: OpenEncoder, splits: Splits) -> None:
    with pytest.raises(ShelfmarkError, match="no split 'dev'; there are train, validation, test"):
        compute_landscape(encoder, splits, "dev", 10, "pca", 7)
