"""How two samples of a number or of a name differ: the one module that names Evidently.

Evidently has the test of Kolmogorov and Smirnov, the distances of Wasserstein and of Jensen and
Shannon, and pages. Its chi-square takes the reference's shares as exact, not as those of a sample:
with a window as large as the reference, it sees a change where there is none in a third of all
cases. So the test of shares is SciPy's of two samples.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency

from shelfmark.errors import ShelfmarkError

LEAST = 5  # papers of a name that both samples should be expected to have, or it joins the rest
os.environ.setdefault("DO_NOT_TRACK", "1")  # or Evidently tells its makers of each use

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Evidently's own use of NumPy and its LLM library
        from evidently import DataDefinition, Dataset, Report
        from evidently.legacy.calculations.stattests import (
            jensenshannon_stat_test,
            ks_stat_test,
            wasserstein_stat_test,
        )
        from evidently.legacy.core import ColumnType
        from evidently.presets import DataDriftPreset
except ModuleNotFoundError as missing:
    raise ShelfmarkError("drift needs the drift extra: uv sync --extra drift") from missing


def numbers(old: pd.Series[float], new: pd.Series[float]) -> tuple[float, float]:
    """Return the p-value of Kolmogorov and Smirnov, and the distance of Wasserstein.

    The distance is in standard deviations of the old numbers. There are no missing ones.
    """
    return (
        _score(ks_stat_test, old, new, ColumnType.Numerical),
        _score(wasserstein_stat_test, old, new, ColumnType.Numerical),
    )


def shares(old: pd.Series[Any], new: pd.Series[Any]) -> tuple[float, float]:
    """Return the p-value of chi-square for two samples, and the distance of Jensen and Shannon.

    The distance is between 0 and 1 (logarithms to base 2). There are no missing names.
    """
    counts = np.array(
        [part.value_counts().reindex(pd.unique(pd.concat([old, new])), fill_value=0)
         for part in (old, new)], np.int64,
    )  # fmt: skip
    nats = _score(jensenshannon_stat_test, old, new, ColumnType.Categorical)
    distance = nats / np.sqrt(np.log(2))
    expected = counts.sum(axis=0) * counts.sum(axis=1).min() / counts.sum()
    rare = expected < LEAST
    rest = counts[:, rare].sum(axis=1, keepdims=True)
    table = np.hstack([counts[:, ~rare], rest[:, rest.sum(axis=0) > 0]])
    if table.shape[1] < 2:
        return 1.0, float(distance)
    return float(chi2_contingency(table, correction=False).pvalue), float(distance)


def _score(test: Any, old: pd.Series[Any], new: pd.Series[Any], kind: Any) -> float:
    return float(test(old, new, kind, None).drift_score)


def page(old: pd.DataFrame, new: pd.DataFrame, names: list[str], counted: list[str]) -> str:
    """Return Evidently's own page of both samples: all there is to see, for who wants more.

    Args:
        old: the reference's rows.
        new: the window's.
        names: columns of names.
        counted: columns of numbers.
    """
    told = DataDefinition(numerical_columns=counted, categorical_columns=names)
    given = [Dataset.from_pandas(part[[*counted, *names]], told) for part in (new, old)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = Report(metrics=[DataDriftPreset(num_method="ks", cat_method="jensenshannon")])
        return str(done.run(*given).get_html_str(as_iframe=False))
