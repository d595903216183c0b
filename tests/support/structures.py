"""Structures with their files in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shelfmark.core import npy, structure
from shelfmark.core.arrays import Array
from shelfmark.errors import ShelfmarkError


class Files(dict[str, bytes]):
    """Files in memory, as a source of structures."""

    specs: dict[str, npy.ArraySpec]

    @contextmanager
    def create(self, name: str) -> Iterator[io.BytesIO]:
        file = io.BytesIO()
        yield file
        self[name] = file.getvalue()

    def content(self, name: str) -> bytes:
        if name not in self:
            raise ShelfmarkError(f"{name}: there is no such file")
        return self[name]

    def array(self, name: str) -> Array:
        return npy.view_array(self.content(name), self.specs[name])


def dump(value: Any) -> tuple[bytes, Files]:
    """Return a value's structure and the files beside it."""
    files = Files()
    content, files.specs = structure.dump(value, files.create)
    return content, files
