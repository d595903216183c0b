"""Sparse and dense arrays that several processes read: files of a folder, mapped, not copied."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp

from shelfmark.core import files

PARTS = ("data", "indices", "indptr")


def write(folder: Path, matrix: sp.csr_matrix, **arrays: np.ndarray[Any, Any]) -> None:
    """Write a sparse matrix and arrays by name.

    Raises:
        ShelfmarkError: the disk is full or cannot be written.
    """
    parts = {part: getattr(matrix, part) for part in PARTS} | {"shape": np.array(matrix.shape)}
    for name, array in {**parts, **arrays}.items():
        with files.file_aside(folder / f"{name}.npy") as file:
            # Into a file itself NumPy writes past Python, whose errors say what is wrong.
            np.save(SimpleNamespace(write=file.write), array)


def read(folder: Path, *names: str) -> tuple[Any, ...]:
    """Return the matrix, then the arrays of these names."""
    data, indices, indptr, shape, *arrays = (
        np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))
        for name in (*PARTS, "shape", *names)
    )
    return sp.csr_matrix((data, indices, indptr), tuple(shape)), *arrays
