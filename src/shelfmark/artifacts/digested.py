"""Files whose SHA-256 are known, as those of a model: what is digested is what is read."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from collections.abc import Mapping
from pathlib import Path

from shelfmark.core import files, npy
from shelfmark.core.arrays import Array
from shelfmark.core.npy import ArraySpec
from shelfmark.errors import ShelfmarkError, one_line

# Of all files: a sparse one takes no room on a disk, but hours to digest. Models have megabytes.
MOST_BYTES = 1 << 34
AGAIN = "train again, or copy the model again"  # where a file is not as its maker wrote it


class DigestedFiles:
    """The files of a folder, each opened once and mapped into memory.

    Processes that open the same files share the pages of the mappings.

    Args:
        folder: where they are.
        digests: the SHA-256 of each, in hexadecimal.
        arrays: the specification of the array in each .npy file.
    """

    def __init__(
        self, folder: Path, digests: Mapping[str, str], arrays: Mapping[str, ArraySpec]
    ) -> None:
        self.folder = folder
        self._digests = digests
        self._arrays = arrays
        self._mapped: dict[str, mmap.mmap] = {}
        self._left = MOST_BYTES

    def __contains__(self, name: str) -> bool:
        """Whether a file has a digest."""
        return name in self._digests

    def check(self) -> None:
        """Check the digest of every file.

        Raises:
            ShelfmarkError: a file is missing, or has another digest.
        """
        for name in self._digests:
            self.content(name)

    def content(self, name: str) -> memoryview:
        """Return the content of a file, which cannot be written to.

        Raises:
            ShelfmarkError: the file is missing, too large, or has another digest.
        """
        if name not in self._digests:
            raise ShelfmarkError(f"{self.folder}: its card names no file {one_line(name)}")
        if name not in self._mapped:
            self._mapped[name] = self._map(name)
        return memoryview(self._mapped[name])

    def array(self, name: str) -> Array:
        """Return the array of a .npy file, of the shape on the card; it cannot be written to.

        Raises:
            ShelfmarkError: the file is missing, or not as its specification or its digest says.
        """
        if name not in self._arrays:
            missing = f"its card names no array {one_line(name)}"
            raise ShelfmarkError(f"{self.folder}: {missing}; {AGAIN}")
        try:
            return npy.view_array(self.content(name), self._arrays[name])
        except npy.SpecError as error:
            raise ShelfmarkError(f"{self.folder / name}: {error}; {AGAIN}") from error

    def _map(self, name: str) -> mmap.mmap:
        path = self.folder / name
        try:
            # The mapping holds the very file that is digested, whatever its name means later.
            with files.open_regular(path) as file:
                self._left -= os.fstat(file.fileno()).st_size
                if self._left < 0:
                    most = f"a model has at most {MOST_BYTES:,} bytes, this one has more"
                    raise ShelfmarkError(f"{path}: {most}; {AGAIN}")
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            if error.errno in (errno.ENOMEM, errno.EMFILE):  # no fault of the file
                raise
            content = None
        except ValueError:  # empty
            content = None
        digest = hashlib.sha256(content).hexdigest() if content is not None else ""
        if content is None or digest != self._digests.get(name):
            raise ShelfmarkError(f"{path} is missing or not the file its card names; {AGAIN}")
        return content
