"""Names for versions, such as `production`: a link in a folder, a small file in a bucket.

Beside it, `<alias>.history.json` tells which versions the alias has named, so that it can go back.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from shelfmark.config.schema import VERSION
from shelfmark.core import files, storage
from shelfmark.errors import ShelfmarkError
from shelfmark.models import artifact

PRODUCTION = "production"


class Alias:
    """One alias of a folder or a bucket of models.

    Args:
        models: a folder, or an address such as gs://bucket/models.
        name: of the alias.

    Raises:
        ShelfmarkError: the name is none, or the address cannot be reached.
    """

    def __init__(self, models: str, name: str = PRODUCTION) -> None:
        if not re.fullmatch(VERSION, name):
            raise ShelfmarkError(f"--alias {name}: not a name")
        self.name = name
        self._models = models.rstrip("/")
        self._remote = storage.filesystem_for(self._models) if storage.is_remote(models) else None

    def version(self) -> str | None:
        """Return the version that the alias names, None where there is no such alias.

        Raises:
            ShelfmarkError: a version has the name, or the alias names nothing that could be one.
        """
        found = self._read(self.name) if self._remote else self._target()
        if found is None:
            return None
        version = found.decode().strip()
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
        """Have the alias name a version from now on, in one step, and note it in the history.

        Raises:
            ShelfmarkError: the place does not take it.
        """
        # Noted first: a history with one entry too many does no harm, one too few would.
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
            found: list[dict[str, Any]] = orjson.loads(content or b"[]")
        except orjson.JSONDecodeError as error:
            place = f"{self._models}/{self.name}.history.json"
            raise ShelfmarkError(f"{place} is damaged ({error}): remove it") from error
        return found

    def before(self) -> str | None:
        """Return the version that the alias named before the one it names now, None if none."""
        stack: list[str] = []
        for entry in self.history():
            if entry["back"]:
                while len(stack) > 1 and stack[-1] != entry["version"]:
                    stack.pop()
            elif not stack or stack[-1] != entry["version"]:
                stack.append(entry["version"])
        # A run that was killed may have noted what it did not do.
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


def upload(folder: Path, models: str) -> None:
    """Copy a version to a bucket; its card comes last, for without it there is no version.

    A version that is there with the same digests is left as it is.

    Raises:
        ShelfmarkError: another of the name is there, or the bucket does not take it.
    """
    address = f"{models.rstrip('/')}/{folder.name}"
    system, root = storage.filesystem_for(address)
    names = sorted(path.name for path in folder.iterdir() if path.name != artifact.CARD)
    with storage.user_errors(address):
        card = (folder / artifact.CARD).read_bytes()
        if system.exists(f"{root}/{artifact.CARD}"):
            if system.cat_file(f"{root}/{artifact.CARD}") != card:
                raise ShelfmarkError(f"{address} is another model of the same name: train anew")
            return
        for name in names:
            system.put_file(str(folder / name), f"{root}/{name}")
        system.pipe_file(f"{root}/{artifact.CARD}", card)
