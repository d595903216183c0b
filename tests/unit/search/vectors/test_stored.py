from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from shelfmark.core import npy
from shelfmark.search.vectors.stored import RowFile, StoredVectors


def test_a_vector_of_zeros_is_rounded_to_zeros_of_scale_zero() -> None:
    vectors = np.array([[0.6, -0.8], [0, 0]], np.float32)
    stored = StoredVectors.round(vectors)
    assert stored.rows[1:].tolist() == [[0, 0]]
    assert stored.scales[1] == 0
    assert stored.take(np.array([0]))[0] == pytest.approx(vectors[0], abs=0.01)


@pytest.mark.parametrize(
    "chosen", [[3, 4, 5, 6], [0], [], [5, 4, 3], [2, 3, 5, 6], [1, 3, 2, 4], [7, 7], [9]]
)
def test_rows_of_a_file_are_those_of_its_array(chosen: list[int], tmp_path: Path) -> None:
    rows = np.arange(40, dtype=np.int8).reshape(10, 4)
    with (tmp_path / "rows.npy").open("wb") as file:
        spec = npy.write_array(file, rows)
    with contextlib.closing(RowFile(tmp_path / "rows.npy", spec)) as file_rows:
        read = file_rows[np.array(chosen, np.int64)]
    assert read.tolist() == rows[chosen].tolist()
