"""Imports that wait until something is used."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from shelfmark.service.workers.imports import defer_imports
with defer_imports("pandas", "scipy.stats", "no.such.module", "json"):
    import sklearn.preprocessing
    import json
assert "json" in sys.modules and json.loads("1") == 1
assert not {"pandas", "scipy.stats", "no.such.module"} & {*sys.modules}
import numpy as np
numbers = np.array([[1.0], [2.0], [4.0], [8.0]])
scaled = sklearn.preprocessing.PowerTransformer("box-cox").fit_transform(numbers)
assert "scipy.stats" in sys.modules and abs(scaled.mean()) < 1e-9
import pandas
frame = pandas.DataFrame(numbers, columns=["number"])
assert sklearn.preprocessing.StandardScaler().fit(frame).feature_names_in_ == ["number"]
"""


def test_a_deferred_module_is_imported_when_it_is_used() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)
