"""Aliases: names such as `production` and `latest` that stand for a version of a model.

An alias is a link in a folder, a small file in a bucket. Beside it, `<alias>.history.json` records
which versions the alias has named, each with the digest of its card: so it can be rolled back, and
a version that has become another model is noticed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from shelfmark.config.problems import describe_problem, first_problem
from shelfmark.config.schema import VERSION
from shelfmark.core import files, storage
from shelfmark.errors import ShelfmarkError

PRODUCTION = "production"  # the alias that the service loads by default
LATEST = "latest"  # the alias of the model that was trained last
MOST_ENTRIES = 200  # of a history
HISTORY = ".history.json"


@dataclass(frozen=True)
class Entry:
    """An entry of a history.

    Args:
        version: that the alias named.
        at: when it was pointed there, in ISO 8601.
        back: whether that was a step back.
        digest: the SHA-256 of the version's card; empty in entries of earlier releases.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True)

    version: Annotated[str, Field(pattern=VERSION)]
    at: Annotated[str, Field(max_length=100)]
    back: bool
    digest: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""


_HISTORY = TypeAdapter(Annotated[list[Entry], Field(min_length=1)])
MOST_HISTORY = 1 << 20  # bytes: an entry has 200


@dataclass(frozen=True)
class Pin:
    """A version, and the digest that its card has to have.

    Args:
        version: the name of a model, never an alias.
        digest: the SHA-256 of its card, empty where it is not known.
    """

    version: str
    digest: str = ""


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
        link = Path(self._models, self.name)
        if self._remote is None and link.exists() and not link.is_symlink():
            raise ShelfmarkError(f"{link} is a version itself, no alias: choose another --alias")
        return self.target()

    def target(self) -> str | None:
        """Return the version that the alias names, None if the name is that of no alias.

        Raises:
            ShelfmarkError: the alias names no valid version.
        """
        if self._remote:
            content = self._read(self.name)
            version = None if content is None else content[:200].decode(errors="replace").strip()
        else:
            link = Path(self._models, self.name)
            version = link.readlink().name if link.is_symlink() else None
        if version is not None and not re.fullmatch(VERSION, version):
            raise ShelfmarkError(f"{self._models}/{self.name} names no version: {version[:40]!r}")
        return version

    def point_at(self, version: str, digest: str, back: bool = False) -> None:
        """Point the alias at a version, in one step, and record it in the history.

        Args:
            version: the name of a model.
            digest: the SHA-256 of its card.
            back: whether this is a step back.

        Raises:
            ShelfmarkError: the folder or bucket cannot be written.
        """
        # Recorded first: a history with one entry too many does no harm, one too few would.
        noted = Entry(version, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", back, digest)
        history = [*self.history(), noted][-MOST_ENTRIES:]
        self._write(f"{self.name}{HISTORY}", _HISTORY.dump_json(history))
        if self._remote:
            self._write(self.name, version.encode())
        else:
            files.point_link(Path(self._models, version), self.name)

    def remove(self) -> None:
        """Remove the alias of a folder, and its history.

        Raises:
            OSError: the folder cannot be written.
        """
        for name in (self.name, f"{self.name}{HISTORY}"):
            Path(self._models, name).unlink(missing_ok=True)

    def digest(self, version: str) -> str:
        """Return the digest that a version had when the alias last named it, empty if not recorded.

        Raises:
            ShelfmarkError: the file of the history is damaged.
        """
        of_version = [entry for entry in self.history() if entry.version == version]
        return of_version[-1].digest if of_version else ""

    def history(self) -> list[Entry]:
        """Return which versions the alias has named, the first one first.

        Raises:
            ShelfmarkError: the file of the history is damaged.
        """
        content = self._read(f"{self.name}{HISTORY}")
        if content is not None and len(content) > MOST_HISTORY:
            place = f"{self._models}/{self.name}{HISTORY}"
            raise ShelfmarkError(
                f"{place} is damaged (more than {MOST_HISTORY:,} bytes): remove it, and earlier "
                f"versions are forgotten"
            )
        if content is None:
            return []
        try:
            return _HISTORY.validate_json(content)
        except ValidationError as error:
            place = f"{self._models}/{self.name}{HISTORY}"
            reason = describe_problem(first_problem(error))
            raise ShelfmarkError(
                f"{place} is damaged ({reason}): remove it, and earlier versions are forgotten"
            ) from error

    def previous(self) -> str | None:
        """Return the version that the alias named before the present one, None for the first."""
        stack: list[str] = []
        for entry in self.history():
            if entry.back:
                while len(stack) > 1 and stack[-1] != entry.version:
                    stack.pop()
            elif not stack or stack[-1] != entry.version:
                stack.append(entry.version)
        # A run that was killed may have recorded what it did not do.
        now = self.version()
        while stack and stack[-1] != now:
            stack.pop()
        return stack[-2] if len(stack) > 1 else None

    def _read(self, name: str) -> bytes | None:
        if self._remote is None:
            path = Path(self._models, name)
            try:
                with files.open_regular(path) as file:
                    return file.read(MOST_HISTORY + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                raise ShelfmarkError(f"{path} cannot be read: {error.strerror}") from error
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


def first_history(version: str, digest: str) -> bytes:
    """Return the history of an alias that names its first version."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return _HISTORY.dump_json([Entry(version, now, back=False, digest=digest)])


def follow(path: Path) -> tuple[Path, str]:
    """Return the folder of a model, its links resolved once, and the digest its alias recorded.

    Args:
        path: of a model, or of an alias.

    Raises:
        ShelfmarkError: the history of the alias is damaged.
        OSError: there is nothing at the path.
    """
    folder = path.resolve(strict=True)
    if not path.is_symlink() or folder.parent != path.parent.resolve():
        return folder, ""
    return folder, Alias(str(path.parent), path.name).digest(folder.name)
