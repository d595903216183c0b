"""The splits on a bucket, versioned by DVC: pushed on request, pulled where they are missing.

DVC runs as a process of its own, whose main program is this file: its time limits are set there,
and a training process stays free of it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from loguru import logger

from shelfmark.core import console, files, storage
from shelfmark.data import pointer
from shelfmark.data.pointer import Pointer, Sums
from shelfmark.errors import ShelfmarkError

UNSET = "YOUR-BUCKET"  # in the address of a clone whose bucket is not set; no bucket's name
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
OWN = {"endpointurl", "credentialpath", "allow_anonymous_login"}  # how DVC is to log in
SET_IT = "run shelfmark cloud-init --bucket NAME, or dvc remote modify gcs url gs://NAME/dvc"


def set_remote(bucket: str, root: Path = Path()) -> Path:
    """Name the bucket of DVC's remote in `.dvc/config`, and return that file.

    Args:
        bucket: its name, with or without gs://, and with a folder in it or without: then `dvc`.
        root: the repository.

    Raises:
        ShelfmarkError: no possible name, or the file is missing or cannot be written.
    """
    name, _, folder = bucket.removeprefix("gs://").strip("/").partition("/")
    if not BUCKET.fullmatch(name):
        raise ShelfmarkError(f"{bucket!r} is no name of a bucket: small letters, digits, - _ .")
    config = root / ".dvc" / "config"
    try:
        text = config.read_text(encoding="utf-8")
    except OSError:
        raise ShelfmarkError(f"there is no {config}: run this in the repository") from None
    url = f"gs://{name}/{folder or 'dvc'}"
    known = re.compile(r"""(\['remote "gcs"'\]\n(?:(?!\[).*\n)*?\s*url = ).*""")
    text, found = known.subn(lambda match: match[1] + url, text)
    if not found:
        text = f"{text.rstrip()}\n['remote \"gcs\"']\n    url = {url}\n".lstrip()
    with files.atomic_write(config) as file:
        file.write(text.encode())
    return config


def remote_of(data: Path) -> str | None:
    """Return the address of the remote for a folder, None if there is none or no bucket is set."""
    settings = pointer.settings(data)
    name = settings.get("core", "remote", fallback="")
    url = settings.get(f"'remote \"{name}\"'", "url", fallback="")
    return url if url and UNSET not in url else None


def check_remote(data: Path) -> str:
    """Return the address of the remote for a folder.

    Raises:
        ShelfmarkError: no bucket is set.
    """
    if (url := remote_of(data)) is None:
        raise ShelfmarkError(f"no bucket is set for {data}: {SET_IT}; all else works without")
    return url


def push(data: Path) -> None:
    """Track all of a folder by DVC, and copy what is new in it to the remote.

    Raises:
        ShelfmarkError: there is nothing to push, no bucket is set, it cannot be reached or written.
    """
    if not pointer.tracked(data):
        raise ShelfmarkError(f"there are no splits in {data}: make them with shelfmark data")
    url = _reached(data)
    path = data.resolve().with_name(f"{data.resolve().name}.dvc")
    before = path.read_bytes() if path.exists() else b""
    _dvc(data, f"add {data.resolve().name}", f"push {path.name}")
    logger.info("pushed {} to {}", data, url)
    if path.read_bytes() != before:
        logger.info("commit what names it: git commit {} -m 'Track other splits'", path.name)


def pull(data: Path) -> None:
    """Fetch what the pointer of a folder tracks, and lay out what is missing in it.

    What is in the folder stays as it is.

    Raises:
        ShelfmarkError: there is no pointer, no bucket is set, it cannot be reached, or does not
            have what the pointer names.
    """
    known = pointer.read(data)
    if known is None:
        raise ShelfmarkError(f"there is no {data}.dvc: nothing is tracked here")
    url = _reached(data)
    sums = _fetched(known, f"{known.folder.name}.dvc", url)
    for name, parts in groupby(sorted(sums), lambda name: name.partition("/")[0]):
        _lay_out(known, name, {part: sums[part] for part in parts})


def _lay_out(known: Pointer, name: str, sums: Sums) -> None:
    target = known.folder / name
    if target.exists():
        here = {
            path: found for path, found in pointer.sums_of(known.folder).items() if path in sums
        }
        what = "is here already" if here == sums else "is other than what is tracked, and stays"
        logger.info("{} {}", target, what)
        return
    if name in sums:
        source = pointer.kept(known.folder, name, sums[name])
        with files.atomic_write(target) as file:
            file.write(source.read_bytes())
    else:
        with files.atomic_folder(target) as aside:
            pointer.restore(known.folder, _within(sums, name), aside)
    logger.info("{} pulled", target)


def pulled(folder: Path, check: Callable[[Path], None]) -> bool:
    """Lay out a folder of splits from DVC's cache or remote if its pointer tracks them.

    Whatever stands against it is one line of warning. Where no remote is set, nothing is tried.

    Args:
        folder: the splits, not there yet.
        check: raises ShelfmarkError if a folder does not hold the splits that are needed.
    """
    data = folder.parent
    try:
        known, url = pointer.read(data), remote_of(data)
        if known is None or url is None:
            return False
        sums = known.sums()
        if sums is None or _within(sums, folder.name):
            sums = _fetched(known, f"{known.folder.name}/{folder.name}", url)
        wanted = _within(sums, folder.name)
        if not wanted:
            logger.info("{} is not among what {}.dvc tracks", folder, data)
            return False
        with files.atomic_folder(folder) as aside:
            pointer.restore(known.folder, wanted, aside)
            check(aside)
    except ShelfmarkError as error:
        logger.warning("{} is made here, not pulled: {}", folder, error)
        return False
    logger.info("{} pulled from {}", folder, url)
    return True


def _within(sums: Sums, name: str) -> Sums:
    return {
        path.partition("/")[2]: found for path, found in sums.items() if path.startswith(f"{name}/")
    }


def _fetched(known: Pointer, target: str, url: str) -> Sums:
    """Return the listing of a pointer once the cache has it, and has what it lists of a target."""
    sums = known.sums()
    names = [name for name in sums or () if f"{known.folder.name}/{name}".startswith(f"{target}/")]
    if sums is None or not names or not all(
        pointer.cached(known.folder, sums[name]).exists() for name in names
    ):  # fmt: skip
        _reached(known.folder)
        _dvc(known.folder, f"fetch {target}")
        sums = known.sums()
    if sums is None:
        raise ShelfmarkError(f"{url} has not what {known.folder.name}.dvc names: push it there")
    return sums


def _reached(data: Path) -> str:
    """Return the address of the remote, once it has been looked at.

    Raises:
        ShelfmarkError: none is set, DVC is not installed, no credentials, or no such bucket.
    """
    settings, url = pointer.settings(data), check_remote(data)
    if find_spec("dvc") is None:
        raise ShelfmarkError(f"DVC is not installed, which reads {url}: uv sync --extra dvc")
    section = f"'remote \"{settings['core']['remote']}\"'"
    if url.partition("://")[0] in storage.GOOGLE and not OWN & set(settings[section]):
        filesystem, path = storage.filesystem_for(url)
        with storage.user_errors(url):
            filesystem.find(f"{path}/no such folder")  # an error only where there is no bucket
    return url


def _dvc(data: Path, *commands: str) -> None:
    """Run commands of DVC beside a folder, in one process, for it takes seconds to start.

    Raises:
        ShelfmarkError: one failed; with the first of its errors.
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
        told = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        raise ShelfmarkError(f"dvc: {told.removeprefix('ERROR: ')}")


def _run_dvc(commands: Iterable[str]) -> int:
    """Be DVC's command line, with time limits that it has no setting for."""
    storage.set_timeouts()
    from dvc.cli import main

    return next((status for command in commands if (status := main(command.split()))), 0)


if __name__ == "__main__":
    sys.exit(_run_dvc(sys.argv[1:]))
