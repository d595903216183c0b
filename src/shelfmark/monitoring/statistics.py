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
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency

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


def numbers(old: pd.Series[float], new: pd.Series[float]) -> tuple[float, float]:
    """Return the p-value of Kolmogorov and Smirnov, and the distance of Wasserstein.

    The distance is in standard deviations of the old numbers. There are no missing ones.
    """
    return _score("ks", old, new, "Numerical"), _score("wasserstein", old, new, "Numerical")


def shares(old: pd.Series[Any], new: pd.Series[Any]) -> tuple[float, float]:
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


def page(old: pd.DataFrame, new: pd.DataFrame, names: list[str], counted: list[str]) -> str:
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
