"""The files that a setting names: one, a list, those of a folder, or those that match a pattern.

Whatever reads papers from files takes its files from here, so that `data.path=…` and `--file …`
name them in the same way, in the same order, each file once.
"""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from loguru import logger

from shelfmark.config import overrides
from shelfmark.core import files, storage
from shelfmark.core.files import Location
from shelfmark.core.formats import signatures
from shelfmark.core.formats.records import JSON_SUFFIXES, TABLE_SUFFIXES
from shelfmark.core.formats.unpack import COMPRESSIONS
from shelfmark.core.output import targets
from shelfmark.errors import ShelfmarkError

Setting = str | Path | Sequence[str | Path]

# The suffixes by which a file in a folder is known to hold papers, and those of packed files.
SUFFIXES = (
    *JSON_SUFFIXES, *TABLE_SUFFIXES, ".txt", ".parquet", ".arrow", ".feather", ".ipc",
)  # fmt: skip
PACKED = (*COMPRESSIONS, ".tar", ".tgz", ".tbz2", ".txz")
# The beginning of a file without a suffix, as `split` writes them, that holds JSON.
JSON = rb"(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{"
# Files beside papers that are never papers: notes, and what `shelfmark` itself writes there.
OTHER = re.compile(
    r"(readme|license|licence|changelog|notice|moderators-).*|card\.json|.*\.harvest\.json"
    r"|_success|_(common_)?metadata|_(started|committed)_.*",
    re.IGNORECASE,
)
QUOTED = re.compile(r"^(['\"])(.*)\1$")
DIGITS = re.compile(r"([0-9]+)")
SHOWN = 5  # names of skipped files in a log line


def find_files(value: Setting, setting: str) -> list[Location]:
    """Return the files that a setting names, in the order in which they are read.

    The setting is a path or an address, a list of them, or such a list as text, `[a.zip,b.jsonl]`.
    Each is a file; a folder, for the files directly in it that look like papers; or a pattern with
    `*`, `?`, `[…]` or `**`. A file or folder of that very name comes first: `a[1].zip` is a
    file where there is one. The files of a folder or a pattern come in natural order, `b2` before
    `b10`. A file that is named twice is read once.

    Args:
        value: the setting.
        setting: its name in errors, such as `--file`.

    Raises:
        ShelfmarkError: a file is missing, empty or unreadable, a folder holds no papers, a pattern
            matches no file, a folder cannot be listed, or the list is empty.
    """
    entries = split_list(value)
    if not entries:
        raise ShelfmarkError(f"{setting} is an empty list: give the path of a file, {setting}=FILE")
    if targets.STANDARD in entries and len(entries) > 1:
        raise ShelfmarkError(f"{setting}: - for standard input cannot be one of several files")
    chosen: dict[object, Location] = {}
    for entry in entries:
        for file in _expand(entry, setting):
            chosen.setdefault(_identity(file), file)
    return list(chosen.values())


def split_list(value: Setting) -> list[str]:
    """Return the paths and addresses of a setting, patterns and folders as they stand.

    A text in brackets is a list, unless there is a file of that name. A path in it that holds a
    comma stands in quotes.
    """
    if isinstance(value, Path):
        return [str(value)]
    if not isinstance(value, str):
        return [entry for one in value for entry in split_list(one)]
    text = value.strip()
    if not overrides.is_list(text) or _exists(value):
        return [value]
    return [QUOTED.sub(r"\2", entry) for entry in overrides.split_list(text)]


def _exists(path: str) -> bool:
    try:
        return not storage.is_remote(path) and Path(path).exists()
    except (OSError, ValueError):  # longer than any name, or an impossible one
        return False


def _expand(entry: str, setting: str) -> list[Location]:
    """Return the files of one path or address, each checked to be readable."""
    if not entry:
        return [files.require_file(None, setting)]
    remote = storage.is_remote(entry)
    kind = storage.path_kind(entry) if remote else _path_kind(entry)
    if kind is None and "," in entry and not remote:
        raise ShelfmarkError(
            f"{setting}: there is no file {entry}; several files are a list, {setting}=[FILE,FILE]"
        )
    if kind == "file" or not (kind or glob.has_magic(entry)):
        return [files.require_file(files.parse_location(entry), setting)]
    if kind == "folder":
        names = storage.list_folder(entry) if remote else _list_folder(Path(entry), setting)
    else:
        names = storage.match_files(entry) if remote else _match_files(Path(entry))
    names = [name for name in names if _is_visible(name, entry)]
    every = kind == "folder" or PurePosixPath(entry).name in ("*", "**")
    chosen = _choose(sorted(names, key=_natural_order), entry, setting, every)
    return [files.require_file(files.parse_location(name), setting) for name in chosen]


def _path_kind(path: str) -> str | None:
    if not _exists(path):
        return None
    return "folder" if Path(path).is_dir() else "file"


def _list_folder(folder: Path, setting: str) -> list[str]:
    try:
        return [f"{path}/" if path.is_dir() else str(path) for path in folder.iterdir()]
    except OSError as error:
        raise ShelfmarkError(f"{setting}: {folder} cannot be listed: {error.strerror}") from error


def _match_files(pattern: Path) -> list[str]:
    """Return the files that match a pattern; `**` follows no link to a folder, which may loop."""
    parts = pattern.parts
    fixed = 0
    # A folder of that very name comes first, as for a whole path.
    while fixed < len(parts) - 1 and Path(*parts[: fixed + 1]).is_dir():
        fixed += 1
    rest = [*parts[fixed:], *(["*"] if parts[-1] == "**" else [])]
    try:
        return [str(path) for path in Path(*parts[:fixed]).glob("/".join(rest)) if path.is_file()]
    except ValueError:  # `a**`
        return []


def _is_visible(name: str, entry: str) -> bool:
    """Whether no part of a name is hidden, apart from those that the setting itself has."""
    given = set(PurePosixPath(entry).parts)
    parts = PurePosixPath(name).parts
    return not any(part.startswith(".") and part not in given for part in parts)


def _choose(names: list[str], entry: str, setting: str, every: bool) -> list[str]:
    """Return the files to read, and log which others there are.

    Args:
        names: in their order.
        entry: the folder or the pattern.
        setting: its name in errors.
        every: whether the names are all that the folder holds, so that some may be no papers.

    Raises:
        ShelfmarkError: no file is left.
    """
    last = {name: PurePosixPath(name).name for name in names}
    chosen = [name for name in names if not OTHER.fullmatch(last[name])
              and (not every or _holds_papers(name))]  # fmt: skip
    others = [last[name] for name in sorted(set(names) - set(chosen), key=_natural_order)]
    more = f" and {len(others) - SHOWN:,} more" if len(others) > SHOWN else ""
    listed = ", ".join(others[:SHOWN]) + more
    if not chosen:
        reason = f"no file of papers lies in {entry}" if every else f"no file matches {entry}"
        raise ShelfmarkError(f"{setting}: {reason}" + (f", only {listed}" if others else ""))
    if others:
        logger.info("{}: {}: {:,} files are read, not {}", setting, entry, len(chosen), listed)
    return chosen


def _holds_papers(name: str) -> bool:
    """Whether a file of a folder is one of papers: by its suffix, or by its first bytes."""
    if name.endswith("/"):
        return False
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    packed = bool(suffixes) and suffixes[-1] in PACKED
    while suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    if suffixes or packed:
        return packed if not suffixes else suffixes[-1] in SUFFIXES
    if not (storage.is_remote(name) or Path(name).is_file()):
        return False
    with files.open_raw(files.parse_location(name)) as file:
        head = file.read(signatures.TAR_BLOCK)
    return bool(signatures.identify_form(head) or re.match(JSON, head))


def _natural_order(name: str) -> tuple[list[list[str | int]], str]:
    """Return a key that orders names by folder, and numbers in them by value: b2 before b10."""
    parts = PurePosixPath(name).parts
    return [[int(x) if x.isdecimal() and x.isascii() else x for x in DIGITS.split(part)]
            for part in parts], name  # fmt: skip


def _identity(location: Location) -> object:
    """Return a value that two names of the same file share."""
    if isinstance(location, str):
        return location
    status = location.stat()
    return (status.st_dev, status.st_ino)


def short_names(locations: Sequence[Location | None]) -> list[str]:
    """Return the names of files without their folders, as far as that tells them apart."""
    parts = [PurePosixPath(files.readable_name(x or "")).parts for x in locations]
    depths = [1] * len(parts)
    while True:
        names = ["/".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        counts = Counter(names)
        again = [place for place, name in enumerate(names)
                 if counts[name] > 1 and depths[place] < len(parts[place])]  # fmt: skip
        if not again:
            return names
        for place in again:
            depths[place] += 1
