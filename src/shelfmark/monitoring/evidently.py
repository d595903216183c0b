"""Evidently's own page of a reference and a window: the one module that imports Evidently."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import pandas as pd

from shelfmark.core import environment, project
from shelfmark.errors import ShelfmarkError


@functools.cache
def load_evidently() -> Any:
    """Return the library, which takes seconds to import.

    Raises:
        ShelfmarkError: it is not installed.
    """
    environment.set_default("DO_NOT_TRACK", "1")  # it reports its use to its makers otherwise
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports names that NumPy has moved
            import evidently
            import evidently.presets
    except ModuleNotFoundError as missing:
        raise ShelfmarkError(
            f"--evidently needs the evidently extra: {project.install_command('evidently')}"
        ) from missing
    return evidently


def render_evidently_page(
    old: pd.DataFrame, new: pd.DataFrame, names: list[str], numbers: list[str]
) -> str:
    """Return Evidently's page of all columns as HTML, some 4 MB.

    Args:
        old: the rows of the reference.
        new: the rows of the window.
        names: the columns of names; those without a value on either side are left out.
        numbers: the columns of numbers, likewise.
    """
    evidently = load_evidently()
    names, numbers = (
        [name for name in kind if old[name].notna().any() and new[name].notna().any()]
        for kind in (names, numbers)
    )
    columns = evidently.DataDefinition(numerical_columns=numbers, categorical_columns=names)
    given = [
        evidently.Dataset.from_pandas(part[[*numbers, *names]], columns) for part in (new, old)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        preset = evidently.presets.DataDriftPreset(num_method="ks", cat_method="jensenshannon")
        report = evidently.Report(metrics=[preset]).run(*given)
        return str(report.get_html_str(as_iframe=False))
