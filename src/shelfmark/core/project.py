"""The project's files outside the package: in a checkout, or the copies that a wheel brings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from shelfmark.errors import ShelfmarkError

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parents[1]  # of the project, where the package is part of a checkout


def checkout() -> Path | None:
    """Return the folder of the checkout that this package is part of, None if it is installed."""
    return ROOT if (ROOT / "pyproject.toml").is_file() and (ROOT / "uv.lock").is_file() else None


def install_command(extra: str) -> str:
    """Return the command that installs an extra: by uv in a checkout, else by pip."""
    return f"uv sync --extra {extra}" if checkout() else f'pip install "shelfmark[{extra}]"'


def check_installed(needs: Mapping[str, str], what: str, more: str = "") -> None:
    """Check that modules of extras can be imported.

    Args:
        needs: the extra of each module.
        what: what needs them, as the subject of a sentence.
        more: a further sentence for the error.

    Raises:
        ShelfmarkError: one cannot; names what installs it.
    """
    for module, extra in needs.items():
        if find_spec(module) is None:
            raise ShelfmarkError(f"{what} needs {module}: {install_command(extra)}{more}")


def project_folder(name: str) -> Path:
    """Return a folder of the project such as `configs`: the wheel's copy, else the project's own.

    An image has neither a checkout nor a wheel, but the folder where a checkout has it.
    """
    packaged = PACKAGE / "project" / name
    return packaged if packaged.is_dir() else ROOT / name
