"""How two samples of a number or of a name differ: the one module that names Evidently.

Evidently has the test of Kolmogorov and Smirnov, the distances of Wasserstein and of Jensen and
Shannon, and pages. Its chi-square takes the reference's shares as exact, not as those of a sample:
with a window as large as the reference, it sees changes far too often where there are none. So the
test of shares is SciPy's of two samples.
"""

from __future__ import annotations

import functools
import os
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import chi2_contingency, norm
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from shelfmark.core.arrays import Doubles, Ints
from shelfmark.errors import ShelfmarkError

LEAST = 5  # papers of a name that both samples should be expected to have, or it joins the rest


@functools.cache
def _evidently() -> SimpleNamespace:
    """Return what is used of Evidently, which takes seconds to import.

    Raises:
        ShelfmarkError: it is not installed.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")  # or it tells its makers of its use
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports names that NumPy has moved
            from evidently import DataDefinition, Dataset, Report
            from evidently.legacy.calculations import stattests
            from evidently.legacy.core import ColumnType
            from evidently.presets import DataDriftPreset
    except ModuleNotFoundError as missing:
        raise ShelfmarkError("drift needs the drift extra: uv sync --extra drift") from missing
    return SimpleNamespace(
        **{one.__name__: one for one in (DataDefinition, Dataset, Report, DataDriftPreset)},
        tests=stattests,
        kinds=ColumnType,
    )


def compare_numbers(old: pd.Series[float], new: pd.Series[float]) -> tuple[float, float]:
    """Return the p-value of Kolmogorov and Smirnov, and the distance of Wasserstein.

    The distance is in standard deviations of the old numbers. There are no missing ones.
    """
    return _score("ks", old, new, "Numerical"), _score("wasserstein", old, new, "Numerical")


def compare_shares(old: pd.Series[Any], new: pd.Series[Any]) -> tuple[float, float]:
    """Return the p-value of chi-square for two samples, and the distance of Jensen and Shannon.

    The distance is between 0 and 1 (logarithms to base 2). There are no missing names.
    """
    counts = np.array(
        [part.value_counts().reindex(pd.unique(pd.concat([old, new])), fill_value=0)
         for part in (old, new)], np.int64,
    )  # fmt: skip
    nats = _score("jensenshannon", old, new, "Categorical")
    distance = nats / np.sqrt(np.log(2))
    expected = counts.sum(axis=0) * counts.sum(axis=1).min() / counts.sum()
    rare = expected < LEAST
    rest = counts[:, rare].sum(axis=1, keepdims=True)
    table = np.hstack([counts[:, ~rare], rest[:, rest.sum(axis=0) > 0]])
    if table.shape[1] < 2:
        return 1.0, float(distance)
    # Of two names, with the correction of Yates: without it, alarms are a little too frequent.
    return float(chi2_contingency(table).pvalue), float(distance)


def _score(name: str, old: pd.Series[Any], new: pd.Series[Any], kind: str) -> float:
    test = getattr(_evidently().tests, f"{name}_stat_test")
    return float(test(old, new, getattr(_evidently().kinds, kind), None).drift_score)


def evidently_page(
    old: pd.DataFrame, new: pd.DataFrame, names: list[str], counted: list[str]
) -> str:
    """Return Evidently's own page of both samples: all there is to see, for who wants more.

    Args:
        old: the reference's rows.
        new: the window's.
        names: columns of names.
        counted: columns of numbers.
    """
    of = _evidently()
    told = of.DataDefinition(numerical_columns=counted, categorical_columns=names)
    given = [of.Dataset.from_pandas(part[[*counted, *names]], told) for part in (new, old)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = [of.DataDriftPreset(num_method="ks", cat_method="jensenshannon")]
        return str(of.Report(metrics=metrics).run(*given).get_html_str(as_iframe=False))


FOLDS = 5


@dataclass(frozen=True)
class ClassifierTest:
    """How well new papers are told from old.

    Args:
        auc: chance that a new paper scores above an old one, out of fold.
        p: chance of such an AUC or a larger one without drift.
        old: which of the old papers were read, by row.
        new: which of the new.
        old_scores: their scores out of fold; larger is newer.
        new_scores: the same of the new.
        contribution: what each term adds to the distance of the means of both sides.
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
    contribution = np.zeros(rows.shape[1])
    aucs, deviations = [], []
    apart = np.asarray(rows[side == 1].mean(axis=0) - rows[side == 0].mean(axis=0)).ravel()
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, side):
        # Each side weighs the same, however many papers it has.
        model = LogisticRegression(solver="liblinear", class_weight="balanced", random_state=0)
        model.fit(rows[train], side[train])
        scores[test] = model.decision_function(rows[test])
        contribution += model.coef_[0] * apart / FOLDS
        aucs.append(roc_auc_score(side[test], scores[test]))
        deviations.append(_deviation(*np.bincount(side[test], minlength=2)))
    p = float(norm.sf(_z(np.array(aucs), np.array(deviations))))
    whole = np.zeros(old.shape[1])
    whole[used] = contribution
    apart_scores = scores[side == 0], scores[side == 1]
    return ClassifierTest(float(np.mean(aucs)), p, kept[0], kept[1], *apart_scores, whole)


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
