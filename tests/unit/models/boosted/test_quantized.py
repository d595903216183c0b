"""Tables of int8: how far they are from the floats, and their products."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from shelfmark.models.boosted import quantized
from shelfmark.models.boosted.quantized import quantize_rows


def test_rows_of_eight_bits_are_right_to_half_a_scale() -> None:
    rows = np.random.default_rng(0).normal(size=(3000, 7)).astype(np.float32)
    rows[5] = 0
    values, scales = quantize_rows(rows)
    assert values.dtype == np.int8
    assert np.abs(values[:5]).max(axis=1).tolist() == [127] * 5
    assert not values[5].any()
    assert (np.abs(values * scales - rows) <= scales * 0.5001).all()


@pytest.mark.parametrize("few", [0, 1 << 30])
@pytest.mark.parametrize("papers", [0, 1, 700])
def test_products_are_those_of_the_whole_table(
    papers: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "FEW", few)
    rng = np.random.default_rng(1)
    table = rng.normal(size=(40, 3)).astype(np.float32)
    features = sp.random(papers, 40, 0.1, "csr", np.float32, rng)
    blocks = list(quantized.multiply(features, table.__getitem__, 40))
    assert [len(block) for block in blocks] == {0: [], 1: [1], 700: [512, 188]}[papers]
    if blocks:
        np.testing.assert_allclose(np.vstack(blocks), features @ table, atol=1e-5)
