"""Evidently's own page of a reference and a window, on request."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd

from shelfmark.monitoring.evidently import render_evidently_page


def frame(seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "words": rng.normal(100 + shift, 20, 200),
            "empty_column": np.nan,
            "predicted": rng.choice(["cs.RO", "cs.CL"], 200),
            "language": None,
        }
    )


def test_the_page_has_the_columns_with_values() -> None:
    page = render_evidently_page(
        frame(0), frame(1, 30), ["predicted", "language"], ["words", "empty_column"]
    )
    assert page.lstrip().lower().startswith("<html") or "<!doctype html" in page[:200].lower()
    assert "predicted" in page
    assert "empty_column" not in page


def test_without_the_library_one_line_names_the_extra() -> None:
    code = (
        "import sys\nsys.modules['evidently'] = None\n"
        "from shelfmark.monitoring.evidently import load_evidently\n"
        "from shelfmark.errors import ShelfmarkError\n"
        "try:\n    load_evidently()\nexcept ShelfmarkError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "--evidently needs the evidently extra: uv sync --extra evidently\n"
