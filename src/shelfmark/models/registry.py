"""Versions of models in a folder or a bucket, and the aliases that name them.

An alias such as `production` is a link in a folder, a small file in a bucket. Beside it,
`<alias>.history.json` records which versions the alias has named, so that it can be rolled back.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from shelfmark.config.schema import VERSION
from shelfmark.core import files, storage
from shelfmark.errors import ShelfmarkError
from shelfmark.models import answers, artifact
from shelfmark.models.artifact import Model
from shelfmark.models.card import ModelCard

PRODUCTION = "production"  # the alias that the service loads by default
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
        """Check that a version is there and whole, without opening it.

        Raises:
            ShelfmarkError: it is missing or damaged.
        """
        self.card(version)

    def card(self, version: str) -> ModelCard:
        """Return the card of a version, or of the one that an alias names, its files checked.

        Raises:
            ShelfmarkError: it is missing or damaged.
        """
        return artifact.check(self.folder(version))

    def resolve(self, version: str) -> str:
        """Return the version that an alias names now, any other name unchanged.

        Raises:
            ShelfmarkError: the bucket has no such version, or cannot be read.
        """
        folder = self.folder(version)
        target = folder.resolve()
        return target.name if target.parent == folder.parent.resolve() else version

    def open(self, version: str) -> Model:
        """Return a model that has made its first prediction, with one thread for its trees.

        Raises:
            ShelfmarkError: there is no such version, or it is damaged.
        """
        model = artifact.load(self.folder(version), threads=1)
        # What is built for the first answer, to one paper and to many, is built now.
        paper = ("Warm up", "The first prediction takes longer than those that come after it.")
        answers.answer_papers(model, [paper], explain=True)
        answers.answer_papers(model, [paper] * WARM)
        return model

    def folder(self, version: str) -> Path:
        """Return the folder of a version on this machine, copied there first from a bucket.

        Raises:
            ShelfmarkError: there is no such version, or the bucket cannot be read.
        """
        if not re.fullmatch(VERSION, version):
            raise ShelfmarkError(f"{version}: not the name of a version")
        if self._copies is None:
            return Path(self._models, version)
        with storage.user_errors(f"{self._models}/{version}"):
            return self._copy_version(version, self._copies)

    def _copy_version(self, version: str, copies: Path) -> Path:
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
        # A copy of a version that is still being written there would be incomplete.
        try:
            artifact.check(folder)
        except ShelfmarkError as error:
            raise ShelfmarkError(f"{self._models}/{version}: {error}") from error


class Alias:
    """One alias of a folder or a bucket of models.

    Args:
        models: a folder, or an address such as gs://bucket/models.
        name: of the alias.

    Raises:
        ShelfmarkError: the name is invalid, or the address cannot be reached.
    """

    def __init__(self, models: str, name: str = PRODUCTION) -> None:
        if not re.fullmatch(VERSION, name):
            raise ShelfmarkError(f"--alias {name}: not a name")
        self.name = name
        self._models = models.rstrip("/")
        self._remote = storage.filesystem_for(self._models) if storage.is_remote(models) else None

    def version(self) -> str | None:
        """Return the version that the alias names, None if there is no such alias.

        Raises:
            ShelfmarkError: a version has the name, or the alias names no valid version.
        """
        content = self._read(self.name) if self._remote else self._target()
        if content is None:
            return None
        version = content.decode().strip()
        if not re.fullmatch(VERSION, version):
            raise ShelfmarkError(f"{self._models}/{self.name} names no version: {version[:40]!r}")
        return version

    def _target(self) -> bytes | None:
        link = Path(self._models, self.name)
        if link.is_symlink():
            return link.readlink().name.encode()
        if link.exists():
            raise ShelfmarkError(f"{link} is a version itself, no alias: choose another --alias")
        return None

    def point_at(self, version: str, back: bool = False) -> None:
        """Point the alias at a version, in one step, and record it in the history.

        Raises:
            ShelfmarkError: the folder or bucket cannot be written.
        """
        # Recorded first: a history with one entry too many does no harm, one too few would.
        noted = {"version": version, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "back": back}
        self._write(f"{self.name}.history.json", orjson.dumps([*self.history(), noted]))
        if self._remote:
            self._write(self.name, version.encode())
        else:
            artifact.point_at(Path(self._models, version), self.name)

    def history(self) -> list[dict[str, Any]]:
        """Return which versions the alias has named: version, at (a time), back (as a step back).

        Raises:
            ShelfmarkError: the file of the history is damaged.
        """
        content = self._read(f"{self.name}.history.json")
        try:
            entries: list[dict[str, Any]] = orjson.loads(content or b"[]")
        except orjson.JSONDecodeError as error:
            place = f"{self._models}/{self.name}.history.json"
            raise ShelfmarkError(f"{place} is damaged ({error}): remove it") from error
        return entries

    def previous(self) -> str | None:
        """Return the version that the alias named before the present one, None for the first."""
        stack: list[str] = []
        for entry in self.history():
            if entry["back"]:
                while len(stack) > 1 and stack[-1] != entry["version"]:
                    stack.pop()
            elif not stack or stack[-1] != entry["version"]:
                stack.append(entry["version"])
        # A run that was killed may have recorded what it did not do.
        now = self.version()
        while stack and stack[-1] != now:
            stack.pop()
        return stack[-2] if len(stack) > 1 else None

    def _read(self, name: str) -> bytes | None:
        if self._remote is None:
            path = Path(self._models, name)
            return path.read_bytes() if path.is_file() else None
        system, root = self._remote
        with storage.user_errors(f"{self._models}/{name}"):
            try:
                return bytes(system.cat_file(f"{root}/{name}"))
            except (FileNotFoundError, IsADirectoryError):
                return None

    def _write(self, name: str, content: bytes) -> None:
        if self._remote is None:
            with files.atomic_write(Path(self._models, name)) as file:
                file.write(content)
            return
        system, root = self._remote
        with storage.user_errors(f"{self._models}/{name}"):
            system.pipe_file(f"{root}/{name}", content)  # an object appears whole by itself


def upload_version(folder: Path, models: str) -> None:
    """Copy a version to a bucket; its card comes last, for without it there is no version.

    A version that is there with the same digests stays unchanged.

    Raises:
        ShelfmarkError: another version of this name is there, or the bucket does not take it.
    """
    address = f"{models.rstrip('/')}/{folder.name}"
    system, root = storage.filesystem_for(address)
    names = sorted(path.name for path in folder.iterdir() if path.name != artifact.CARD)
    with storage.user_errors(address):
        card = (folder / artifact.CARD).read_bytes()
        if system.exists(f"{root}/{artifact.CARD}"):
            if system.cat_file(f"{root}/{artifact.CARD}") != card:
                raise ShelfmarkError(f"{address} is another model of the same name: train again")
            return
        for name in names:
            system.put_file(str(folder / name), f"{root}/{name}")
        system.pipe_file(f"{root}/{artifact.CARD}", card)
