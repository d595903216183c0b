"""The vectors of the terms before a training."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from shelfmark.core.arrays import Floats, Ints

LSA_PAPERS = 50_000  # papers of the decomposition: more take minutes and change little


def inverse_frequencies(frequencies: Ints, papers: int) -> Floats:
    """Return log(papers / frequency) of each term, at a mean of one."""
    logarithms = np.log(papers / np.maximum(frequencies, 1)) + np.finfo(np.float32).tiny
    return np.asarray(logarithms / logarithms.mean(), np.float32)


def start_randomly(weights: Floats, size: int, seed: int) -> Floats:
    """Return random vectors of the lengths given, on average, shape (terms, size)."""
    rows = np.random.default_rng(seed).standard_normal((len(weights), size), np.float32)
    rows *= weights[:, None] * np.float32(size**-0.5)
    return rows


def start_from_lsa(texts: sp.csr_matrix, weights: Floats, size: int, seed: int) -> Floats:
    """Return the vectors of the terms by latent semantic analysis, shape (terms, size).

    Terms that the sample lacks start from small random vectors. Source: Deerwester et al. 1990.

    Args:
        texts: counts of the terms, shape (papers, terms).
        weights: of the terms.
        size: numbers of a vector.
        seed: of the decomposition and of the sample.
    """
    from sklearn.utils.extmath import randomized_svd

    rng = np.random.default_rng(seed)
    if texts.shape[0] > LSA_PAPERS:
        texts = texts[np.sort(rng.choice(texts.shape[0], LSA_PAPERS, replace=False))]
    weighted = texts @ sp.diags_array(weights).astype(np.float32)
    rank = min(size, *weighted.shape)
    _, values, terms = randomized_svd(weighted, rank, random_state=seed)
    rows = start_randomly(weights, size, seed) * np.float32(0.1)
    # The square root flattens the first directions, which all papers share.
    rows[:, :rank] += (terms * np.sqrt(values / values[0])[:, None]).T * weights[:, None]
    rows *= np.mean(weights) / np.sqrt((rows**2).sum(axis=1)).mean()
    return rows.astype(np.float32)
