"""Can a classifier tell new papers from old ones? If so, by which words?

The test of two samples by a classifier: arXiv:1610.06545.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.stats import norm
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from shelfmark.core.arrays import Doubles, Ints

FOLDS = 5


@dataclass(frozen=True)
class Domain:
    """How well new papers are told from old.

    Args:
        auc: chance that a new paper scores above an old one, out of fold.
        p: chance of such an AUC or a larger one without drift.
        old: which of the old papers were read, by row.
        new: which of the new.
        old_scores: their scores out of fold; larger is newer.
        new_scores: the same of the new.
        pull: what each term adds to the distance of the means of both sides.
    """

    auc: float
    p: float
    old: Ints
    new: Ints
    old_scores: Doubles
    new_scores: Doubles
    pull: Doubles


def tell_apart(old: sp.csr_matrix, new: sp.csr_matrix, most: int, seed: int = 0) -> Domain:
    """Train in five folds to tell new rows from old ones, both of shape (papers, terms).

    Args:
        old: the reference's terms, 1 where a paper has one.
        new: the window's.
        most: papers of either side that are read; of more, so many by chance.
        seed: of the choice and the folds.
    """
    chance = np.random.default_rng(seed)
    kept = [np.sort(chance.permutation(rows.shape[0])[:most]) for rows in (old, new)]
    both = sp.vstack([old[kept[0]], new[kept[1]]], format="csr")
    # Buckets that no paper fills only take time.
    used, place = np.unique(both.indices, return_inverse=True)
    both = sp.csr_matrix((both.data, place, both.indptr), (both.shape[0], len(used)))
    # Weighed over both sides alike: nothing but the labels below may tell them apart.
    rows = TfidfTransformer().fit_transform(both)
    side = np.repeat([0, 1], [len(part) for part in kept])
    scores = np.zeros(len(side))
    pull = np.zeros(rows.shape[1])
    aucs, deviations = [], []
    apart = np.asarray(rows[side == 1].mean(axis=0) - rows[side == 0].mean(axis=0)).ravel()
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, side):
        # Each side weighs the same, however many papers it has.
        model = LogisticRegression(solver="liblinear", class_weight="balanced", random_state=0)
        model.fit(rows[train], side[train])
        scores[test] = model.decision_function(rows[test])
        pull += model.coef_[0] * apart / FOLDS
        aucs.append(roc_auc_score(side[test], scores[test]))
        deviations.append(_deviation(*np.bincount(side[test], minlength=2)))
    p = float(norm.sf(_z(np.array(aucs), np.array(deviations))))
    whole = np.zeros(old.shape[1])
    whole[used] = pull
    apart_scores = scores[side == 0], scores[side == 1]
    return Domain(float(np.mean(aucs)), p, kept[0], kept[1], *apart_scores, whole)


def _deviation(old: int, new: int) -> float:
    """Return the standard deviation of an AUC without drift, by Mann and Whitney."""
    return float(np.sqrt((old + new + 1) / (12 * old * new)))


def _z(aucs: Doubles, deviations: Doubles) -> float:
    """Return the AUCs of the folds as one standard normal value, were there no drift.

    Each fold's is one by itself. They are not independent: that two papers of two folds are alike
    speaks once where the one is tested and once where the other is. Were the score a sum over pairs
    of papers, this would double the variance of the folds' sum, and so it is taken here.
    """
    return float(((aucs - 0.5) / deviations).sum() / np.sqrt(2 * len(aucs)))


def rank_test(old: Doubles, new: Doubles) -> tuple[float, float]:
    """Return the AUC of the scores of new papers against old, and its p-value (one-sided)."""
    side = np.repeat([0, 1], [len(old), len(new)])
    auc = float(roc_auc_score(side, np.concatenate([old, new])))
    return auc, float(norm.sf((auc - 0.5) / _deviation(len(old), len(new))))
