"""Arrays in .npy files: NumPy reads what is written, and only a specified array is read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from shelfmark.core.npy import ArraySpec, SpecError, view_array, write_array

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.zeros((0, 3), np.float64),
    np.arange(5, dtype=np.int64),
    np.frombuffer(b"terms", np.uint8),
    np.arange(4, dtype=np.int32),
]


def written(array: Any) -> tuple[bytes, ArraySpec]:
    file = io.BytesIO()
    spec = write_array(file, array)
    return file.getvalue(), spec


@pytest.mark.parametrize("array", ARRAYS)
def test_an_array_comes_back_without_a_copy_and_numpy_reads_it_too(array: Any) -> None:
    content, spec = written(array)
    again = view_array(content, spec)
    for read in (again, np.load(io.BytesIO(content), allow_pickle=False)):
        assert (read.dtype, read.shape, read.tobytes()) == (
            array.dtype,
            array.shape,
            array.tobytes(),
        )
    assert not again.flags.owndata
    assert not again.flags.writeable
    assert ArraySpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3, ">f4"),
        np.zeros(3, np.float16),
        np.array(["a"]),
        np.array([None]),
        np.zeros(3, [("a", "f4")]),
        np.zeros((1, 1, 1), np.float32),
        np.zeros((3, 2), np.float32).T,
    ],
)
def test_other_arrays_are_not_written(array: Any) -> None:
    with pytest.raises(ValueError, match="should"):
        written(array)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"",
        lambda content: content[:6] + b"\2" + content[7:],
        lambda content: content.replace(b"'<f4'", b"'|O' "),
        lambda content: content.replace(b"False", b"True "),
        lambda content: content.replace(b"(2, 3)", b"(3, 2)"),
        lambda content: b"\x80\x04N." + content[4:],
    ],
)
def test_a_file_that_differs_from_its_specification_is_refused(change: Any) -> None:
    content, spec = written(ARRAYS[0])
    with pytest.raises(SpecError, match=r"no array of type <f4 and shape \(2, 3\)"):
        view_array(change(content), spec)


def test_a_shape_that_no_memory_holds_is_refused_without_taking_any() -> None:
    content, _ = written(ARRAYS[0])
    with pytest.raises(SpecError, match="no array of type"):
        view_array(content, ArraySpec("<f8", (2**40, 2**40)))


@pytest.mark.parametrize(
    "values",
    [
        None,
        {},
        {"dtype": "<f4"},
        {"dtype": "<f4", "shape": [1], "order": "F"},
        {"dtype": "|O", "shape": [1]},
        {"dtype": ["<f4"], "shape": [1]},
        {"dtype": "<f4", "shape": [-1]},
        {"dtype": "<f4", "shape": [True]},
        {"dtype": "<f4", "shape": [1.0]},
        {"dtype": "<f4", "shape": [1, 1, 1]},
        {"dtype": "<f4", "shape": "11"},
    ],
)
def test_another_specification_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="should"):
        ArraySpec.from_json(values)
