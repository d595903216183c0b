"""Vectors in two dimensions, for a picture: principal components, or t-SNE.

t-SNE keeps neighbours together, so that clusters show; distances between clusters mean little.
It starts from the principal components, and the same vectors and seed give the same picture.
Source: Kobak and Berens (2019), doi:10.1038/s41467-019-13056-x; openTSNE by Poličar et al.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from shelfmark.core.arrays import Doubles, Floats
from shelfmark.errors import ShelfmarkError

Method = Literal["pca", "tsne"]
METHODS: tuple[Method, ...] = ("tsne", "pca")
PERPLEXITY = 30.0  # neighbours that count for a paper
LEAST = 10  # papers that t-SNE takes


def project(vectors: Floats, method: Method, seed: int = 0, threads: int = 1) -> Doubles:
    """Return the places of vectors in a plane.

    Args:
        vectors: shape (papers, numbers), at least two of each.
        method: pca, or tsne, which needs the extra `landscape`.
        seed: of t-SNE.
        threads: of t-SNE.

    Returns:
        Shape (papers, 2).

    Raises:
        ShelfmarkError: there are too few papers.
    """
    least = LEAST if method == "tsne" else 2
    if len(vectors) < least:
        raise ShelfmarkError(f"{len(vectors):,} papers are too few for a landscape: {least} needed")
    start = principal_components(vectors)
    return start if method == "pca" else _tsne(vectors, start, seed, threads)


def principal_components(vectors: Floats, count: int = 2) -> Doubles:
    """Return the first principal components of vectors, shape (papers, count).

    The largest loading of each component is positive, so that pictures are not mirrored by chance.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :count]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    places: Doubles = centred @ (axes * np.sign(largest))
    return places


def _tsne(vectors: Floats, start: Doubles, seed: int, threads: int) -> Doubles:
    from openTSNE import TSNE

    scaled = start / start[:, 0].std() * 1e-4  # larger, and the clusters could not move
    embedding = TSNE(
        perplexity=min(PERPLEXITY, (len(vectors) - 1) / 3),
        initialization=scaled,
        n_jobs=threads,
        random_state=seed,
    ).fit(vectors)
    return np.asarray(embedding, np.float64)
