"""Models by the name of their version, in a folder or a bucket, opened for serving."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from pathlib import Path

from shelfmark.config.schema import VERSION
from shelfmark.core import files, storage
from shelfmark.errors import ShelfmarkError
from shelfmark.models import answers, artifact
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard

WARM = 32  # papers of a first list: more than are read one by one


class Registry:
    """Opens versions of models; those of a bucket are copied to a folder of this process first.

    Args:
        models: a folder, or the URL of a bucket such as gs://bucket/models.
    """

    def __init__(self, models: str) -> None:
        self._models = models
        self._copies: Path | None = None
        if storage.is_remote(models):
            self._copies = Path(tempfile.mkdtemp(prefix="shelfmark-"))
            weakref.finalize(self, shutil.rmtree, self._copies, ignore_errors=True)

    def check(self, version: str) -> None:
        """Look whether a version is there and whole, without opening it.

        Raises:
            ShelfmarkError: it is not.
        """
        self.card(version)

    def card(self, version: str) -> ModelCard:
        """Return the card of a version, or of the one that an alias names, its files checked.

        Raises:
            ShelfmarkError: it is not there, or not whole.
        """
        return artifact.check(self.folder(version))

    def resolve(self, version: str) -> str:
        """Return the version that an alias names now, any other name as it is.

        Raises:
            ShelfmarkError: there is none in the bucket, or it cannot be read.
        """
        folder = self.folder(version)
        target = folder.resolve()
        return target.name if target.parent == folder.parent.resolve() else version

    def open(self, version: str) -> Model:
        """Return a model that has made its first prediction, with one thread for its trees.

        Raises:
            ShelfmarkError: there is none of the name, or it is damaged.
        """
        model = artifact.load(self.folder(version), threads=1)
        # What is made at the first question, of one paper and of many, is made now.
        paper = ("Warm up", "The first prediction takes longer than those that come after it.")
        answers.answer_papers(model, [paper], explain=True)
        answers.answer_papers(model, [paper] * WARM)
        return model

    def folder(self, version: str) -> Path:
        """Return the folder of a version on this machine, copied there first from a bucket.

        Raises:
            ShelfmarkError: there is none, or the bucket cannot be read.
        """
        if not re.fullmatch(VERSION, version):
            raise ShelfmarkError(f"{version}: not the name of a version")
        if self._copies is None:
            return Path(self._models, version)
        with storage.user_errors(f"{self._models}/{version}"):
            return self._copied(version, self._copies)

    def _copied(self, version: str, copies: Path) -> Path:
        """Copy a version from the bucket, unless it is here; an alias is a file that names one."""
        system, root = storage.filesystem_for(self._models.rstrip("/"))
        if not (copies / version).exists() and system.isfile(f"{root}/{version}"):
            version = system.cat_file(f"{root}/{version}").decode().strip()
            if not re.fullmatch(VERSION, version):
                raise ShelfmarkError(f"{self._models}: an alias there names no version")
        target = copies / version
        if not target.exists():
            paths = system.find(f"{root}/{version}", maxdepth=1)
            with storage.user_errors(f"{self._models}/{version}"):  # which an alias may have named
                if not paths:
                    raise FileNotFoundError
            with files.atomic_folder(target) as folder:
                for path in paths:
                    with storage.user_errors(f"{self._models}/{version}"):
                        system.get_file(path, str(folder / Path(path).name))
                self._check_copy(folder, version)
        return target

    def _check_copy(self, folder: Path, version: str) -> None:
        # What is still being written there must not stay here as it is now.
        try:
            artifact.check(folder)
        except ShelfmarkError as error:
            raise ShelfmarkError(f"{self._models}/{version}: {error}") from error
