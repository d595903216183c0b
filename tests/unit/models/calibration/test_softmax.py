"""Softmax and its logarithm over rows: SciPy's results, and no row depends on the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shelfmark.models.calibration.softmax import log_softmax_rows, log_sum_exp_rows, softmax_rows

MARGINS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 200)),
    elements=st.floats(-(2.0**40), 2.0**40, width=32),
)
FUNCTIONS = [softmax_rows, log_softmax_rows, log_sum_exp_rows]


@given(MARGINS)
def test_they_are_those_of_scipy(margins: Any) -> None:
    wanted = scipy.special.softmax(margins, axis=1)
    np.testing.assert_allclose(softmax_rows(margins), wanted, rtol=1e-6, atol=1e-37)
    wanted = scipy.special.log_softmax(margins, axis=1)
    np.testing.assert_allclose(log_softmax_rows(margins), wanted, rtol=1e-6, atol=1e-6)
    wanted = scipy.special.logsumexp(margins, axis=1, keepdims=True)
    np.testing.assert_allclose(log_sum_exp_rows(margins), wanted, rtol=1e-6, atol=1e-6)


@given(MARGINS)
def test_the_argument_is_unchanged_and_the_result_is_of_its_type(margins: Any) -> None:
    before = margins.tobytes()
    for function in FUNCTIONS:
        assert function(margins).dtype == np.float32
        assert margins.tobytes() == before


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("columns", [2, 5, 147, 300])
def test_no_row_depends_on_the_others(function: Any, columns: int) -> None:
    rng = np.random.default_rng(columns)
    margins = rng.normal(scale=5, size=(70, columns)).astype(np.float32)
    whole = function(margins)
    for row in range(len(margins)):
        assert function(margins[row : row + 1]).tobytes() == whole[row : row + 1].tobytes()
    order = rng.permutation(len(margins))[:33]
    assert function(margins[order]).tobytes() == whole[order].tobytes()
