"""Shared arrays: the same bits, mapped from files that are complete or absent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from shelfmark.core import parallel


def test_what_is_written_is_read_to_the_last_bit_and_cannot_be_changed(tmp_path: Path) -> None:
    matrix = sp.random(50, 30, 0.2, format="csr", dtype=np.float32, random_state=0)
    rest = {"fold": np.arange(50), "indicator": np.eye(50, 4, dtype=np.uint8)}
    parallel.write_shared_arrays(tmp_path, matrix, **rest)
    read, indicator, fold = parallel.read_shared_arrays(tmp_path, "indicator", "fold")
    assert (read.shape, read.dtype) == (matrix.shape, matrix.dtype)
    for part in ("data", "indices", "indptr"):
        assert getattr(read, part).tobytes() == getattr(matrix, part).tobytes()
        assert getattr(read, part).dtype == getattr(matrix, part).dtype
    np.testing.assert_array_equal(indicator, rest["indicator"])
    np.testing.assert_array_equal(fold, rest["fold"])
    with pytest.raises(ValueError, match="read-only"):
        read.data[0] = 1


def test_no_row_and_no_column_are_no_obstacle(tmp_path: Path) -> None:
    parallel.write_shared_arrays(
        tmp_path, sp.csr_matrix((0, 7), dtype=np.float32), fold=np.zeros(0, np.int64)
    )
    read, fold = parallel.read_shared_arrays(tmp_path, "fold")
    assert read.shape == (0, 7)
    assert fold.shape == (0,)


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
import scipy.sparse as sp
from shelfmark.core import console
from shelfmark.core import parallel

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
with console.one_line_errors():
    parallel.write_shared_arrays(Path(sys.argv[1]), sp.csr_matrix(np.ones((100, 1000), np.float32)))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_no_room_on_the_disk_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write {tmp_path / 'data.npy'}: File too large\n"
    assert list(tmp_path.iterdir()) == []
