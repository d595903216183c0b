"""The splits on a bucket, versioned by DVC: pushed on request, pulled if they are missing here.

`data.dvc`, the pointer of the folder, names the MD5 of a listing, and the listing those of all
files; DVC's cache holds both by these digests. Reading that layout needs no DVC, so splits enter
and leave the cache without it. DVC itself runs as a process whose main program is this file: its
time limits are set there, and a training process does not import it.

Source: https://dvc.org/doc/user-guide/project-structure/internal-files
"""

from __future__ import annotations

import configparser
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from loguru import logger

from shelfmark.core import console, files, project, storage
from shelfmark.errors import ShelfmarkError

UNSET = "YOUR-BUCKET"  # in the address of a clone whose bucket is not set
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
OWN = {"endpointurl", "credentialpath", "allow_anonymous_login"}  # settings by which DVC logs in
SET_IT = "run shelfmark cloud-init --bucket NAME, or dvc remote modify gcs url gs://NAME/dvc"
SETTINGS = ("config", "config.local")
UNTRACKED = (files.PARTIAL, files.DIGEST_PREFIX)  # prefixes, as in .dvcignore
Digests = dict[str, str]  # the MD5 of each file, by its path in the folder


@dataclass(frozen=True)
class Pointer:
    """The content of a pointer, such as `data.dvc`.

    Args:
        folder: the tracked folder, which may be missing.
        listing: MD5 of the listing of its files, with DVC's suffix.
        size: bytes of all files.
        count: number of files.
    """

    folder: Path
    listing: str
    size: int
    count: int

    def digests(self) -> Digests | None:
        """Return the MD5 of each tracked file, None if the listing is not in the cache.

        Raises:
            ShelfmarkError: the listing names a file outside the folder.
        """
        path = cache_path(self.folder, self.listing)
        if not path.exists():
            return None
        digests = {entry["relpath"]: entry["md5"] for entry in json.loads(files.read_bytes(path))}
        for name in digests:
            if ".." in name.split("/") or Path(name).is_absolute():
                raise ShelfmarkError(f"{path} lists a file outside the folder: {name}")
        return digests


def read_pointer(folder: Path) -> Pointer | None:
    """Return the pointer of a folder, None if it has no pointer."""
    folder = folder.resolve()
    try:
        text = files.read_bytes(folder.with_name(f"{folder.name}.dvc")).decode()
    except OSError:
        return None
    values = dict(re.findall(r"(\w+): (\S+)", text))
    if not str(values.get("md5", "")).endswith(".dir"):
        return None
    return Pointer(
        folder, values["md5"], int(values.get("size", -1)), int(values.get("nfiles", -1))
    )


def read_dvc_config(folder: Path) -> configparser.ConfigParser:
    """Return DVC's settings for a folder: the committed ones, then those of this clone.

    Raises:
        ShelfmarkError: they cannot be parsed.
    """
    parser = configparser.ConfigParser(interpolation=None)
    dvc = folder.resolve().parent / ".dvc"
    try:
        parser.read([dvc / name for name in SETTINGS], encoding="utf-8")
    except configparser.Error as error:
        raise ShelfmarkError(f"{dvc}: {str(error).splitlines()[0]}") from error
    return parser


def cache_path(folder: Path, md5: str) -> Path:
    """Return the path in DVC's cache for a digest, whether it exists or not."""
    dvc = folder.resolve().parent / ".dvc"
    home = read_dvc_config(folder).get("cache", "dir", fallback="cache")
    return dvc / home / "files" / "md5" / md5[:2] / md5[2:]


def file_digests(folder: Path) -> Digests:
    """Return the MD5 of each file in a folder, by its path in the folder."""
    return {
        path.relative_to(folder).as_posix(): file_md5(path) for path in list_tracked_files(folder)
    }


def list_tracked_files(folder: Path) -> list[Path]:
    """Return the files of a folder that DVC tracks, sorted by path."""
    here = [path for path in folder.glob("*") if not path.name.startswith(UNTRACKED)]
    return sorted(file for path in here for file in (path, *path.rglob("*")) if file.is_file())


def file_md5(path: Path) -> str:
    """Return a file's MD5 in hexadecimal."""
    with files.open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def add_to_cache(folder: Path) -> None:
    """Add a folder to DVC's cache if it matches its pointer, as `dvc add` would.

    Then `dvc status` is clean once the splits of the pointer have been made. No file is read if
    their number or size differs.

    Raises:
        ShelfmarkError: the cache cannot be written.
    """
    pointer = read_pointer(folder)
    if pointer is None or not (pointer.folder.parent / ".dvc").is_dir():
        return
    paths = list_tracked_files(folder)
    size = sum(path.stat().st_size for path in paths)
    if (len(paths), size) != (pointer.count, pointer.size) or pointer.digests() is not None:
        return
    digests = file_digests(folder)
    listed = [{"md5": digests[name], "relpath": name} for name in sorted(digests)]
    listing = json.dumps(listed).encode()
    if hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir" != pointer.listing:
        return
    for name, md5 in digests.items():
        _put(cache_path(folder, md5), folder / name)
    with files.atomic_write(
        cache_path(folder, pointer.listing)
    ) as file:  # last: it marks the files as complete
        file.write(listing)


def _put(there: Path, path: Path) -> None:
    if not there.exists():
        with files.atomic_write(there) as file, files.open_regular(path) as source:
            shutil.copyfileobj(source, file)
        there.chmod(0o444)


def restore_files(folder: Path, digests: Digests, target: Path) -> None:
    """Copy files of a tracked folder from DVC's cache.

    Args:
        folder: the tracked folder.
        digests: the MD5 of each file, by its path in the target.
        target: an existing folder.

    Raises:
        ShelfmarkError: a file is missing or damaged in the cache, or the target cannot be written.
    """
    for name, expected in digests.items():
        source, path = require_cached(folder, name, expected), target / name
        with files.report_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)


def require_cached(folder: Path, name: str, expected: str) -> Path:
    """Return the path of a file in DVC's cache.

    Raises:
        ShelfmarkError: it is missing or damaged.
    """
    path = cache_path(folder, expected)
    if not path.exists():
        raise ShelfmarkError(f"{name} is not on the remote: run shelfmark data --push where it is")
    if file_md5(path) != expected:
        raise ShelfmarkError(f"{path} is damaged: remove it and pull again")
    return path


def set_remote(bucket: str, root: Path = Path()) -> Path:
    """Set the bucket of DVC's remote in `.dvc/config`, and return that file.

    Args:
        bucket: its name, with or without gs://; a folder in it may follow, else it is `dvc`.
        root: the repository.

    Raises:
        ShelfmarkError: the name is invalid, or the file is missing or cannot be written.
    """
    name, _, folder = bucket.removeprefix("gs://").strip("/").partition("/")
    if not BUCKET.fullmatch(name):
        raise ShelfmarkError(f"{bucket!r} is not a bucket name: lower-case letters, digits, - _ .")
    config = root / ".dvc" / "config"
    try:
        text = files.read_bytes(config).decode()
    except OSError:
        raise ShelfmarkError(f"there is no {config}: run this in the repository") from None
    url = f"gs://{name}/{folder or 'dvc'}"
    remote = re.compile(r"""(\['remote "gcs"'\]\n(?:(?!\[).*\n)*?\s*url = ).*""")
    text, count = remote.subn(lambda match: match[1] + url, text)
    if not count:
        text = f"{text.rstrip()}\n['remote \"gcs\"']\n    url = {url}\n".lstrip()
    with files.atomic_write(config) as file:
        file.write(text.encode())
    return config


def find_remote(data: Path) -> str | None:
    """Return the address of a folder's remote, None if no remote or no bucket is set."""
    settings = read_dvc_config(data)
    name = settings.get("core", "remote", fallback="")
    url = settings.get(f"'remote \"{name}\"'", "url", fallback="")
    return url if url and UNSET not in url else None


def require_remote(data: Path) -> str:
    """Return the address of a folder's remote.

    Raises:
        ShelfmarkError: no bucket is set.
    """
    if (url := find_remote(data)) is None:
        raise ShelfmarkError(f"no bucket is set for {data}: {SET_IT}; all else works without")
    return url


def push_data(data: Path) -> None:
    """Track a folder by DVC, and copy its new files to the remote.

    Raises:
        ShelfmarkError: the folder is empty, no bucket is set, or it cannot be reached or written.
    """
    if not list_tracked_files(data):
        raise ShelfmarkError(f"there are no splits in {data}: make them with shelfmark data")
    url = _require_reachable(data)
    path = data.resolve().with_name(f"{data.resolve().name}.dvc")
    before = files.read_bytes(path) if path.exists() else b""
    _dvc(data, f"add {data.resolve().name}", f"push {path.name}")
    logger.info("pushed {} to {}", data, url)
    if files.read_bytes(path) != before:
        logger.info("commit the pointer: git commit {} -m 'Track other splits'", path.name)


def pull_data(data: Path) -> None:
    """Fetch the files that the pointer of a folder tracks, and add the missing ones to the folder.

    Raises:
        ShelfmarkError: there is no pointer, no bucket is set, or it cannot be reached or lacks the
            tracked files.
    """
    known = read_pointer(data)
    if known is None:
        raise ShelfmarkError(f"there is no {data}.dvc: nothing is tracked here")
    url = _require_reachable(data)
    digests = _fetch(known, f"{known.folder.name}.dvc", url)
    for name, parts in groupby(sorted(digests), lambda name: name.partition("/")[0]):
        _add_missing(known, name, {part: digests[part] for part in parts})


def _add_missing(known: Pointer, name: str, digests: Digests) -> None:
    target = known.folder / name
    if target.exists():
        here = {path: md5 for path, md5 in file_digests(known.folder).items() if path in digests}
        what = "exists already" if here == digests else "differs from the tracked one, and is kept"
        logger.info("{} {}", target, what)
        return
    if name in digests:
        source = require_cached(known.folder, name, digests[name])
        with files.atomic_write(target) as file:
            file.write(files.read_bytes(source))
    else:
        with files.atomic_folder(target) as aside:
            restore_files(known.folder, _digests_of_folder(digests, name), aside)
    logger.info("{} pulled", target)


def pull_splits(folder: Path, check: Callable[[Path], None]) -> bool:
    """Restore a folder of splits from DVC's cache or remote if its pointer tracks them.

    Any obstacle is a warning of one line. Nothing is tried if no remote is set.

    Args:
        folder: the missing splits.
        check: raises ShelfmarkError if a folder does not hold the required splits.

    Returns:
        Whether the splits were restored.
    """
    data = folder.parent
    try:
        known, url = read_pointer(data), find_remote(data)
        if known is None or url is None:
            return False
        digests = known.digests()
        if digests is None or _digests_of_folder(digests, folder.name):
            digests = _fetch(known, f"{known.folder.name}/{folder.name}", url)
        wanted = _digests_of_folder(digests, folder.name)
        if not wanted:
            logger.info("{} is not tracked by {}.dvc", folder, data)
            return False
        with files.atomic_folder(folder) as aside:
            restore_files(known.folder, wanted, aside)
            check(aside)
    except ShelfmarkError as error:
        logger.warning("{} is made here, not pulled: {}", folder, error)
        return False
    logger.info("{} pulled from {}", folder, url)
    return True


def _digests_of_folder(digests: Digests, name: str) -> Digests:
    return {
        path.partition("/")[2]: md5 for path, md5 in digests.items() if path.startswith(f"{name}/")
    }


def _fetch(known: Pointer, target: str, url: str) -> Digests:
    """Return the digests of a pointer, once the cache holds the files of a target."""
    digests = known.digests()
    names = [
        name for name in digests or () if f"{known.folder.name}/{name}".startswith(f"{target}/")
    ]
    if digests is None or not names or not all(
        cache_path(known.folder, digests[name]).exists() for name in names
    ):  # fmt: skip
        _require_reachable(known.folder)
        _dvc(known.folder, f"fetch {target}")
        digests = known.digests()
    if digests is None:
        raise ShelfmarkError(f"{url} lacks the files of {known.folder.name}.dvc: push them")
    return digests


def _require_reachable(data: Path) -> str:
    """Return the address of the remote, after checking that it can be reached.

    Raises:
        ShelfmarkError: no remote is set, DVC is not installed, no credentials, or no such bucket.
    """
    settings, url = read_dvc_config(data), require_remote(data)
    if find_spec("dvc") is None:
        how = project.install_command("dvc")
        raise ShelfmarkError(f"{url} needs DVC, which is not installed: {how}")
    section = f"'remote \"{settings['core']['remote']}\"'"
    if url.partition("://")[0] in storage.GOOGLE and not OWN & set(settings[section]):
        filesystem, path = storage.filesystem_for(url)
        with storage.user_errors(url):
            filesystem.find(f"{path}/no such folder")  # fails only if the bucket does not exist
    return url


def _dvc(data: Path, *commands: str) -> None:
    """Run commands of DVC in the parent of a folder, in one process, since it starts slowly.

    Raises:
        ShelfmarkError: a command failed; with the first of its errors.
    """
    with console.progress(f"dvc {commands[-1]}"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__, *commands],
            cwd=data.resolve().parent,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        message = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        raise ShelfmarkError(f"dvc: {message.removeprefix('ERROR: ')}")


def _run_dvc(commands: Iterable[str]) -> int:
    """Run DVC's command line, with time limits for which it has no setting."""
    storage.set_timeouts()
    from dvc.cli import main

    return next((status for command in commands if (status := main(command.split()))), 0)


if __name__ == "__main__":
    sys.exit(_run_dvc(sys.argv[1:]))
