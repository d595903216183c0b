"""How two samples differ: of numbers, of names, of texts, and of vectors.

Numbers and names are compared by SciPy's tests and distances, texts and vectors by a classifier
that learns to separate the two samples: arXiv:1610.06545.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, norm, wasserstein_distance
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from shelfmark.core.arrays import Doubles, Floats, Ints

LEAST_EXPECTED = 5  # papers of a name expected in either sample; rarer names are counted together
LEAST_DEVIATION = 0.001  # so that numbers that are all equal have a finite distance
FOLDS = 5


def compare_numbers(old: pd.Series[float], new: pd.Series[float]) -> tuple[float, float]:
    """Return the p-value of the Kolmogorov-Smirnov test and the Wasserstein distance.

    The distance is in standard deviations of the old numbers.

    Args:
        old: numbers of the reference, none of them missing.
        new: numbers of the window, none of them missing.
    """
    deviation = max(float(np.std(old.to_numpy())), LEAST_DEVIATION)
    return float(ks_2samp(old, new).pvalue), float(wasserstein_distance(old, new)) / deviation


def compare_shares(old: pd.Series[Any], new: pd.Series[Any]) -> tuple[float, float]:
    """Return the p-value of the chi-square test of two samples and the Jensen-Shannon distance.

    The distance is between 0 and 1 (logarithms to base 2).

    The test takes both samples as samples. A goodness-of-fit test, which takes the shares of the
    reference as exact, finds drift far too often in a window as large as the reference.

    Args:
        old: names of the reference, none of them missing.
        new: names of the window, none of them missing.
    """
    names = pd.unique(pd.concat([old, new]))
    counts = np.array(
        [part.value_counts().reindex(names, fill_value=0) for part in (old, new)], np.int64
    )
    distance = float(jensenshannon(*counts, base=2))
    expected = counts.sum(axis=0) * counts.sum(axis=1).min() / counts.sum()
    rare = expected < LEAST_EXPECTED
    rest = counts[:, rare].sum(axis=1, keepdims=True)
    table = np.hstack([counts[:, ~rare], rest[:, rest.sum(axis=0) > 0]])
    if table.shape[1] < 2:
        return 1.0, distance
    # A table of two names gets Yates' correction: without it, alarms are a little too frequent.
    return float(chi2_contingency(table).pvalue), distance


@dataclass(frozen=True)
class ClassifierTest:
    """How well a classifier separates new papers from old ones.

    Args:
        auc: the probability that a new paper scores above an old one, out of fold.
        p: the probability of such an AUC or a larger one without drift.
        old: which old papers were drawn, by row.
        new: which new papers were drawn, by row.
        old_scores: the out-of-fold scores of the old papers drawn; larger is newer.
        new_scores: the out-of-fold scores of the new papers drawn.
        contribution: what each term, or each number of a vector, adds to the distance between the
            mean scores of both sides, shape (terms,).
    """

    auc: float
    p: float
    old: Ints
    new: Ints
    old_scores: Doubles
    new_scores: Doubles
    contribution: Doubles


def two_sample_classifier(
    old: sp.csr_matrix, new: sp.csr_matrix, most: int, seed: int = 0
) -> ClassifierTest:
    """Learn to separate new papers from old ones by their terms, in five folds.

    Args:
        old: the terms of the reference, 1 where a paper has one, shape (papers, terms).
        new: the terms of the window, likewise.
        most: papers read of either side; a larger side is sampled.
        seed: of the sample and the folds.
    """
    drawn = _draw(old.shape[0], new.shape[0], most, seed)
    both = sp.vstack([old[drawn[0]], new[drawn[1]]], format="csr")
    # Buckets that no paper fills only take time.
    used, place = np.unique(both.indices, return_inverse=True)
    both = sp.csr_matrix((both.data, place, both.indptr), (both.shape[0], len(used)))
    # One IDF for both sides: only the labels may separate them.
    test = _separate(TfidfTransformer().fit_transform(both), drawn, seed)
    every = np.zeros(old.shape[1])
    every[used] = test.contribution
    return replace(test, contribution=every)


def separate_vectors(old: Floats, new: Floats, most: int, seed: int = 0) -> ClassifierTest:
    """Learn to separate new papers from old ones by their vectors, in five folds.

    Args:
        old: the vectors of the reference, of unit length, shape (papers, numbers).
        new: the vectors of the window, likewise.
        most: papers read of either side; a larger side is sampled.
        seed: of the sample and the folds.
    """
    drawn = _draw(len(old), len(new), most, seed)
    return _separate(np.concatenate([old[drawn[0]], new[drawn[1]]]), drawn, seed)


def _draw(old: int, new: int, most: int, seed: int) -> tuple[Ints, Ints]:
    """Return the rows of both sides that are read."""
    rng = np.random.default_rng(seed)
    before = np.sort(rng.permutation(old)[:most])
    return before, np.sort(rng.permutation(new)[:most])


def _separate(rows: sp.csr_matrix | Floats, drawn: tuple[Ints, Ints], seed: int) -> ClassifierTest:
    """Return how well a classifier separates the rows of both sides, the old ones first."""
    side = np.repeat([0, 1], [len(part) for part in drawn])
    scores, folds, contribution = _cross_fit(rows, side, seed)
    aucs = np.array([roc_auc_score(side[fold], scores[fold]) for fold in folds])
    deviations = np.array([_deviation(*np.bincount(side[fold], minlength=2)) for fold in folds])
    return ClassifierTest(
        float(np.mean(aucs)), float(norm.sf(_z(aucs, deviations))), drawn[0], drawn[1],
        scores[side == 0], scores[side == 1], contribution,
    )  # fmt: skip


def _cross_fit(
    rows: sp.csr_matrix | Floats, side: Ints, seed: int
) -> tuple[Doubles, list[Ints], Doubles]:
    """Return out-of-fold scores, the papers of each fold, and the contribution of each column."""
    scores, contribution = np.zeros(len(side)), np.zeros(rows.shape[1])
    apart = np.asarray(rows[side == 1].mean(axis=0) - rows[side == 0].mean(axis=0)).ravel()
    folds = []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, side):
        # Each side weighs the same, however many papers it has.
        model = LogisticRegression(solver="liblinear", class_weight="balanced", random_state=0)
        model.fit(rows[train], side[train])
        scores[test] = model.decision_function(rows[test])
        contribution += model.coef_[0] * apart / FOLDS
        folds.append(test)
    return scores, folds, contribution


def _deviation(old: int, new: int) -> float:
    """Return the standard deviation of an AUC without drift, by Mann and Whitney."""
    return float(np.sqrt((old + new + 1) / (12 * old * new)))


def _z(aucs: Doubles, deviations: Doubles) -> float:
    """Return the AUCs of all folds as one value, standard normal without drift.

    The folds are not independent: a likeness between two papers of two folds counts once where the
    one is tested and once where the other is. For a score that is a sum over pairs of papers this
    doubles the variance of the sum of the folds, so twice that variance is taken.
    """
    return float(((aucs - 0.5) / deviations).sum() / np.sqrt(2 * len(aucs)))


def rank_test(old: Doubles, new: Doubles) -> tuple[float, float]:
    """Return the AUC of new scores against old ones, and its one-sided p-value."""
    side = np.repeat([0, 1], [len(old), len(new)])
    auc = float(roc_auc_score(side, np.concatenate([old, new])))
    return auc, float(norm.sf((auc - 0.5) / _deviation(len(old), len(new))))
