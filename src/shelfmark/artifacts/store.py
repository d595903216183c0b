"""The versions in a folder or a bucket, and the aliases that name them."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

from shelfmark.artifacts.aliases import Alias, Pin
from shelfmark.config.schema import VERSION
from shelfmark.core import files, storage
from shelfmark.errors import ShelfmarkError


class VersionStore:
    """Finds versions; those of a bucket are copied to a folder of this process first.

    The copies are removed with the store.

    Args:
        address: of the versions: a folder, or the URL of a bucket such as gs://bucket/models.
        check: checks the folder of a copied version; raises a `ShelfmarkError`.
    """

    def __init__(self, address: str, check: Callable[[Path], object]) -> None:
        self._address = address
        self._check = check
        self._copies: Path | None = None
        if storage.is_remote(address):
            self._copies = Path(tempfile.mkdtemp(prefix="shelfmark-"))
            weakref.finalize(self, shutil.rmtree, self._copies, ignore_errors=True)

    def resolve(self, version: str) -> Pin:
        """Return the version that a name stands for, its digest empty where no alias recorded it.

        Raises:
            ShelfmarkError: it is no name, or the bucket cannot be read.
        """
        check_name(version)
        if self._copies is not None and (self._copies / version).exists():
            return Pin(version)
        alias = Alias(self._address, version)
        named = alias.target()
        return Pin(version) if named is None else Pin(named, alias.digest(named) or "")

    def folder(self, version: str) -> Path:
        """Return the folder of a version on this machine, copied there first from a bucket.

        Raises:
            ShelfmarkError: there is no such version, or the bucket cannot be read.
        """
        check_name(version)
        if self._copies is None:
            return Path(self._address, version)
        with storage.user_errors(f"{self._address}/{version}"):
            return self._copy_version(version, self._copies)

    def _copy_version(self, version: str, copies: Path) -> Path:
        """Copy a version, or the one that an alias names, from the bucket, unless it is here."""
        system, root = storage.filesystem_for(self._address.rstrip("/"))
        version = self.resolve(version).version
        target = copies / version
        if not target.exists():
            paths = system.find(f"{root}/{version}", maxdepth=1)
            with storage.user_errors(f"{self._address}/{version}"):  # which an alias may have named
                if not paths:
                    raise FileNotFoundError
            with files.atomic_folder(target) as folder:
                for path in paths:
                    with storage.user_errors(f"{self._address}/{version}"):
                        system.get_file(path, str(folder / Path(path).name))
                self._check_copy(folder, version)
        return target

    def _check_copy(self, folder: Path, version: str) -> None:
        # A copy of a version that is still being written there would be incomplete.
        try:
            self._check(folder)
        except ShelfmarkError as error:
            raise ShelfmarkError(f"{self._address}/{version}: {error}") from error


def check_name(version: str) -> None:
    """Check that a version is a name, never a path.

    Raises:
        ShelfmarkError: it is no name.
    """
    if not re.fullmatch(VERSION, version):
        raise ShelfmarkError(f"{version}: not the name of a version")
