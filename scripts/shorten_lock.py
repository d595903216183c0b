"""Remove from uv.lock what depends on the machine that wrote it: addresses, files, metadata.

The short form pins every version, marker and dependency, and works on a laptop, with a company
mirror and on an offline runner. uv adds the rest again wherever it runs. The script needs only the
standard library, so that the pre-commit hook needs no environment.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LOCK = Path(__file__).parents[1] / "uv.lock"
NO_INDEX = "https://index.invalid/simple"
REGISTRY = re.compile(r'registry = "[^"]*"')
FILES = re.compile(r"^(?:sdist = .*\n|wheels = \[\n(?:    .*\n)*\]\n)", re.MULTILINE)
METADATA = re.compile(r"^\[package\.metadata(?:\.[\w-]+)?\]\n(?:(?!\[).*\n)*", re.MULTILINE)


def shorten(lock: str) -> str:
    """Return the lock without addresses, file lists and the package's own metadata."""
    for pattern in (FILES, METADATA):
        lock = pattern.sub("", lock)
    lock = REGISTRY.sub(f'registry = "{NO_INDEX}"', lock)
    return re.sub(r"\n{3,}", "\n\n", lock).rstrip("\n") + "\n"


def main() -> int:
    """Shorten the file in place; with --check, return 1 if it had to be shortened."""
    long = LOCK.read_text(encoding="utf-8")
    short = shorten(long)
    if short == long:
        return 0
    LOCK.write_text(short, encoding="utf-8", newline="\n")
    print("uv.lock: shortened")
    return 1 if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
