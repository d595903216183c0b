"""Hold uv.lock to .ci/hashes.txt, the SHA-256 of every file of every locked package.

Without an option, compare the packages and their versions. With --files, also remove from a lock
that uv has filled in (`uv lock`) all files that .ci/hashes.txt does not list, so that uv installs
only files that were there when the versions were locked. The script needs only the standard
library, so that the pre-commit hook needs no environment.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "uv.lock"
HASHES = ROOT / ".ci" / "hashes.txt"
PINNED = re.compile(r"^([\w.-]+)==([^ ;\\]+).*\n((?: +--hash=.*\n)+)", re.MULTILINE)
PACKAGE = re.compile(
    r'^name = "(.+)"\nversion = "(.+)"\nsource = \{ registry = .*\n((?:(?!\[\[).*\n)*)',
    re.MULTILINE,
)
FILE = re.compile(r"^(?:sdist = |    )\{ url = .*\n", re.MULTILINE)
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
REMEDY = "lock again: uv run inv lock"

Package = tuple[str, str]  # name and version


def read_hashes(text: str) -> dict[Package, set[str]]:
    """Return the hashes of each package in a requirements file."""
    return {(name, version): set(SHA256.findall(hashes))
            for name, version, hashes in PINNED.findall(text)}  # fmt: skip


def read_packages(lock: str) -> set[Package]:
    """Return the packages that a lock takes from an index."""
    return {(name, version) for name, version, _ in PACKAGE.findall(lock)}


def compare(lock: str, hashes: dict[Package, set[str]]) -> list[str]:
    """Return one line for each package that only the lock or only the list of hashes has."""
    locked = read_packages(lock)
    lines = [f"{name} {version}: no hash" for name, version in sorted(locked - {*hashes})]
    lines += [f"{name} {version}: not locked" for name, version in sorted({*hashes} - locked)]
    return lines


def keep_files(lock: str, hashes: dict[Package, set[str]]) -> tuple[str, list[str]]:
    """Return the lock without unlisted files, and one line for each package that keeps none."""
    without: list[str] = []

    def keep(match: re.Match[str]) -> str:
        name, version, rest = match.groups()
        listed = hashes.get((name, version), set())
        kept = FILE.sub(
            lambda file: file[0] if listed.intersection(SHA256.findall(file[0])) else "", rest
        )
        if not FILE.search(kept):
            without.append(f"{name} {version}: the index has no file with a listed hash")
        return match[0][: -len(rest)] + kept if rest else match[0]

    return PACKAGE.sub(keep, lock), without


def main() -> int:
    """Check the lock; with --files, also remove the files that are not listed."""
    lock = LOCK.read_text(encoding="utf-8")
    hashes = read_hashes(HASHES.read_text(encoding="utf-8"))
    faults = compare(lock, hashes)
    if "--files" in sys.argv and not faults:
        kept, faults = keep_files(lock, hashes)
        if not faults:
            LOCK.write_text(kept, encoding="utf-8", newline="\n")
    for line in faults:
        print(f".ci/hashes.txt: {line}", file=sys.stderr)
    if faults:
        print(REMEDY, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
