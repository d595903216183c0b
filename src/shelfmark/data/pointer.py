"""A folder and the pointer that stands for it in Git: `data/` and DVC's `data.dvc`.

The pointer names the MD5 of a listing, the listing those of all files; DVC keeps both in its cache
by these sums. That layout is all that is needed here, so splits get into the cache and out of it
without DVC itself.
Source: https://dvc.org/doc/user-guide/project-structure/internal-files
"""

from __future__ import annotations

import configparser
import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError

SETTINGS = ("config", "config.local")
UNTRACKED = (files.PARTIAL, files.DIGEST_PREFIX)  # beginnings of names, as in .dvcignore
Sums = dict[str, str]  # the MD5 of each file, by its path in the folder


@dataclass(frozen=True)
class Pointer:
    """What a pointer says of the folder beside it.

    Attributes:
        folder: the folder it stands for, there or not.
        listing: MD5 of the listing of its files, with DVC's suffix.
        size: bytes of all files.
        count: how many files.
    """

    folder: Path
    listing: str
    size: int
    count: int

    def sums(self) -> Sums | None:
        """Return the MD5 of every file it tracks, None if their listing is not in the cache.

        Raises:
            ShelfmarkError: the listing names a file outside of the folder.
        """
        path = cached(self.folder, self.listing)
        if not path.exists():
            return None
        sums = {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_bytes())}
        for name in sums:
            if ".." in name.split("/") or Path(name).is_absolute():
                raise ShelfmarkError(f"{path} lists a file outside of the folder: {name}")
        return sums


def read(folder: Path) -> Pointer | None:
    """Return the pointer beside a folder, None where there is none of a folder."""
    folder = folder.resolve()
    try:
        text = folder.with_name(f"{folder.name}.dvc").read_text(encoding="utf-8")
    except OSError:
        return None
    said = dict(re.findall(r"(\w+): (\S+)", text))
    if not str(said.get("md5", "")).endswith(".dir"):
        return None
    return Pointer(folder, said["md5"], int(said.get("size", -1)), int(said.get("nfiles", -1)))


def settings(folder: Path) -> configparser.ConfigParser:
    """Return DVC's settings for a folder: those committed, then those of this clone alone.

    Raises:
        ShelfmarkError: they cannot be understood.
    """
    parser = configparser.ConfigParser(interpolation=None)
    dvc = folder.resolve().parent / ".dvc"
    try:
        parser.read([dvc / name for name in SETTINGS], encoding="utf-8")
    except configparser.Error as error:
        raise ShelfmarkError(f"{dvc}: {str(error).splitlines()[0]}") from error
    return parser


def cached(folder: Path, md5: str) -> Path:
    """Return where DVC's cache keeps what has a sum, there or not."""
    dvc = folder.resolve().parent / ".dvc"
    home = settings(folder).get("cache", "dir", fallback="cache")
    return dvc / home / "files" / "md5" / md5[:2] / md5[2:]


def sums_of(folder: Path) -> Sums:
    """Return the MD5 of every file in a folder, by its path in it."""
    return {path.relative_to(folder).as_posix(): md5(path) for path in tracked(folder)}


def tracked(folder: Path) -> list[Path]:
    """Return the files of a folder that DVC looks at, sorted by path."""
    here = [path for path in folder.glob("*") if not path.name.startswith(UNTRACKED)]
    return sorted(file for path in here for file in (path, *path.rglob("*")) if file.is_file())


def md5(path: Path) -> str:
    """Return a file's MD5 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def remember(folder: Path) -> None:
    """Put a folder into DVC's cache if it is what its pointer says, as `dvc add` would.

    So `dvc status` is clean once the splits that the pointer stands for have been made. Nothing is
    read where the number or the size of the files says that they are others.

    Raises:
        ShelfmarkError: the cache cannot be written.
    """
    pointer = read(folder)
    if pointer is None or not (pointer.folder.parent / ".dvc").is_dir():
        return
    paths = tracked(folder)
    size = sum(path.stat().st_size for path in paths)
    if (len(paths), size) != (pointer.count, pointer.size) or pointer.sums() is not None:
        return
    sums = sums_of(folder)
    listed = [{"md5": sums[name], "relpath": name} for name in sorted(sums)]
    listing = json.dumps(listed).encode()
    if hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir" != pointer.listing:
        return
    for name, found in sums.items():
        _put(cached(folder, found), folder / name)
    with files.atomic_write(cached(folder, pointer.listing)) as file:  # last: it says all are there
        file.write(listing)


def _put(there: Path, path: Path) -> None:
    if not there.exists():
        with files.atomic_write(there) as file, path.open("rb") as source:
            shutil.copyfileobj(source, file)
        there.chmod(0o444)


def restore(folder: Path, sums: Sums, target: Path) -> None:
    """Write files of a tracked folder from DVC's cache into a target that is there.

    Args:
        folder: the tracked folder.
        sums: the MD5 of each file, by its path in the target.
        target: a folder.

    Raises:
        ShelfmarkError: one is not in the cache or damaged there, or the target cannot be written.
    """
    for name, expected in sums.items():
        source, path = kept(folder, name, expected), target / name
        with files.report_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)


def kept(folder: Path, name: str, expected: str) -> Path:
    """Return where DVC's cache has a file of that name and sum.

    Raises:
        ShelfmarkError: it is not there, or damaged.
    """
    path = cached(folder, expected)
    if not path.exists():
        raise ShelfmarkError(f"{name} is not on the remote: run shelfmark data --push where it is")
    if md5(path) != expected:
        raise ShelfmarkError(f"{path} is damaged: remove it and pull again")
    return path
