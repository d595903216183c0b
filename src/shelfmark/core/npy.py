"""Arrays in .npy files, whose type and shape are known before a byte of them is read.

The format is NumPy's own: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from shelfmark.core import checks, files
from shelfmark.core.arrays import Array

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SUFFIX = ".npy"
DTYPES = ("<f4", "<f8", "<i4", "<i8", "|i1", "|u1", "<u2", "<u4", "<u8")
MOST_DIMENSIONS = 2


class Writable(Protocol):
    """A file that bytes are written to."""

    def write(self, content: Any, /) -> int:
        """Write bytes, and return how many."""


class SpecError(ValueError):
    """A file is not as its specification says."""


@dataclass(frozen=True)
class ArraySpec:
    """The type and the shape of an array.

    Args:
        dtype: as NumPy spells it, one of `DTYPES`.
        shape: at most two dimensions; rows follow one another.
    """

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: Array) -> Self:
        """Return the type and the shape of an array.

        Raises:
            ValueError: arrays of this type, order or so many dimensions are not saved.
        """
        if not array.flags.c_contiguous:  # another order of numbers gives other sums
            raise ValueError("the rows of an array should follow one another")
        return cls.from_json({"dtype": array.dtype.str, "shape": list(array.shape)})

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return what `to_json` has made.

        Raises:
            ValueError: it is something else.
        """
        checks.mapping(lambda value: None, 2)(values)
        if set(values) != {"dtype", "shape"}:
            raise ValueError("should have the keys dtype and shape")
        checks.one_of(*DTYPES)(values["dtype"])
        checks.items(checks.integer(0, 2**40), most=MOST_DIMENSIONS)(values["shape"])
        return cls(values["dtype"], tuple(values["shape"]))

    def to_json(self) -> dict[str, Any]:
        """Return the specification as JSON holds it."""
        return {"dtype": self.dtype, "shape": list(self.shape)}

    @property
    def size(self) -> int:
        """The size of the numbers."""
        return int(np.dtype(self.dtype).itemsize) * math.prod(self.shape)

    def header(self) -> bytes:
        """Return the header of a file with such an array."""
        written = io.BytesIO()
        described = {"descr": self.dtype, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(written, described)
        return written.getvalue()


def write_array(file: Writable, array: Array) -> ArraySpec:
    """Write an array to an open file, and return its specification.

    Raises:
        ValueError: arrays of this type, order or so many dimensions are not saved.
    """
    spec = ArraySpec.of(array)
    file.write(spec.header())
    file.write(array.reshape(-1).view(np.uint8).data)
    return spec


class RowWriter:
    """Writes the rows of a matrix to a .npy file, whose number is known only at the end.

    NumPy's headers leave room for any number of rows, so that the last one is as long as the first.

    Args:
        file: empty, and seekable.
        columns: numbers of a row; None for an array of one dimension.
        dtype: of the numbers, one of `DTYPES`.

    Attributes:
        rows: how many are written.

    Raises:
        OSError: the disk does not take the header.
    """

    def __init__(self, file: IO[bytes], columns: int | None, dtype: str = "<f4") -> None:
        self._file, self._columns, self._dtype, self.rows = file, columns, dtype, 0
        file.write(self.spec.header())

    def write(self, rows: Array) -> None:
        """Write rows, shape (rows, columns) or (rows,).

        Raises:
            ValueError: the rows are not as long as those before.
            OSError: the disk does not take them.
        """
        if rows.shape[1:] != self.spec.shape[1:]:
            raise ValueError(f"rows of shape {rows.shape[1:]}, {self.spec.shape[1:]} is needed")
        self._file.write(np.ascontiguousarray(rows, self._dtype).reshape(-1).view(np.uint8).data)
        self.rows += len(rows)

    def finish(self) -> None:
        """Write the header again, with the number of rows."""
        self._file.seek(0)
        self._file.write(self.spec.header())
        self._file.seek(0, io.SEEK_END)

    @property
    def spec(self) -> ArraySpec:
        """The type and the shape of the array so far."""
        columns = () if self._columns is None else (self._columns,)
        return ArraySpec(self._dtype, (self.rows, *columns))


def view_array(content: ReadableBuffer, spec: ArraySpec) -> Array:
    """Return the array in the content of a file, of the shape of its specification, without a copy.

    Raises:
        SpecError: the content is not exactly such an array.
    """
    header, given = spec.header(), memoryview(content)
    if len(given) != len(header) + spec.size or given[: len(header)] != header:
        raise SpecError(f"it is no array of type {spec.dtype} and shape {spec.shape}")
    return np.ndarray(spec.shape, spec.dtype, given, len(header))


def write_arrays(folder: Path, arrays: Mapping[str, Array]) -> dict[str, ArraySpec]:
    """Write arrays to files of their names, and return their types and shapes.

    Raises:
        ShelfmarkError: the disk is full.
    """
    return {name: write_blocks(folder / name, [array]) for name, array in arrays.items()}


def write_blocks(path: Path, blocks: Iterable[Array]) -> ArraySpec:
    """Write an array whose rows come some at a time, and return its type and shape.

    Args:
        path: of the .npy file.
        blocks: at least one, each of shape (rows,) or (rows, columns).

    Raises:
        ShelfmarkError: the disk is full.
    """
    iterator: Iterator[Array] = iter(blocks)
    first = next(iterator)
    with files.report_write_errors(path), path.open("wb") as file:
        columns = first.shape[1] if first.ndim == 2 else None
        writer = RowWriter(file, columns, first.dtype.str)
        writer.write(first)
        for block in iterator:
            writer.write(block)
        writer.finish()
    return writer.spec
