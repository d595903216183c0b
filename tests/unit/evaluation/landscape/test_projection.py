"""Vectors in a plane: the components of most variance, and t-SNE, which keeps neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from shelfmark.core.arrays import Floats
from shelfmark.errors import ShelfmarkError
from shelfmark.evaluation.landscape.projection import principal_components, project

CLUSTERS = 4


@pytest.fixture(scope="module")
def vectors() -> Floats:
    """Unit vectors around four directions, 40 of each, in turn."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((CLUSTERS, 32))
    rows = np.tile(centres, (40, 1)) + 0.3 * rng.standard_normal((CLUSTERS * 40, 32))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_principal_components_are_those_of_the_singular_vectors(vectors: Floats) -> None:
    places = principal_components(vectors)
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    assert np.allclose(np.abs(places), np.abs(left[:, :2] * values[:2]), atol=1e-5)
    assert np.allclose(places.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(principal_components(-vectors), -places), "mirrored only with the vectors"


def test_t_sne_keeps_neighbours_and_is_the_same_again(vectors: Floats) -> None:
    pytest.importorskip("openTSNE")
    places = project(vectors, "tsne", seed=5)
    assert np.array_equal(places, project(vectors, "tsne", seed=5))
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argmin(axis=1)
    clusters = np.arange(len(vectors)) % CLUSTERS
    assert (clusters[nearest] == clusters).all()


@pytest.mark.parametrize(("method", "papers"), [("pca", 1), ("tsne", 9)])
def test_too_few_papers_are_one_line(vectors: Floats, method: str, papers: int) -> None:
    with pytest.raises(ShelfmarkError, match=rf"^{papers} papers are too few for a landscape"):
        project(vectors[:papers], "tsne" if method == "tsne" else "pca")
