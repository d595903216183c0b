"""The versions of Python and of libraries that wrote an artifact, compared with those here."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from shelfmark.errors import ShelfmarkError


def installed_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of Python and of some libraries."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python} | {name: installed_version(name) for name in libraries}


@cache  # finding and parsing the metadata takes longer than opening a small model
def installed_version(library: str) -> str:
    """Return the installed version of a library, which need not be imported for it."""
    return version(library)


def require_versions(folder: Path, made: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Check that an artifact was made with the versions that are here.

    Args:
        folder: of the artifact.
        made: the versions on its card.
        here: the installed ones.

    Raises:
        ShelfmarkError: one differs.
    """
    for name, installed in here.items():
        found = made.get(name, "an unknown version")
        if found != installed:
            raise ShelfmarkError(
                f"{folder} was made with {name} {found}, here is {installed}: "
                "train again, or install that version"
            )
