"""Environment variables: one that is empty or blank counts as unset.

Compose files, Cloud Run and CI set variables that have no value to the empty string. The blanks and
line ends around a value, as a file of a secret brings them, are no part of it.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Iterator

from shelfmark.errors import ShelfmarkError

PREFIX = "SHELFMARK_"
# Variables of this program that are no settings of the service.
OTHERS = (
    "SHELFMARK_COMMIT", "SHELFMARK_GCS_MOUNT", "SHELFMARK_GOOGLE_ENDPOINT",
    "SHELFMARK_LOAD_BODIES", "SHELFMARK_LOAD_SECONDS", "SHELFMARK_MILVUS_TOKEN",
    "SHELFMARK_RUNTIME", "SHELFMARK_TRY_IMAGES",
)  # fmt: skip
# Those that libraries read: some of them take an empty value for one.
PREFIXES = (PREFIX, "AIP_", "CLOUDSDK_", "DVC_", "FSSPEC_", "GCSFS_", "GOOGLE_", "WANDB_")
NAMES = (
    "CI", "DO_NOT_TRACK", "NETRC", "NO_GCE_CHECK", "OMP_WAIT_POLICY", "PORT",
    "PROMETHEUS_MULTIPROC_DIR", "PYTHONDONTWRITEBYTECODE", "STORAGE_EMULATOR_HOST",
    "XDG_CACHE_HOME",
)  # fmt: skip
# What Kubernetes sets in each container for a service named shelfmark.
KUBERNETES = re.compile(r"SHELFMARK(_\w+)?_(SERVICE_(HOST|PORT)\w*|PORT(_\d+_\w+)?)")
LEAST_KEY = 16  # characters


def read(name: str, default: str = "") -> str:
    """Return the value of a variable without the blanks around it; the default if it is unset."""
    return os.environ.get(name, "").strip() or default


def set_default(name: str, value: str) -> None:
    """Set a variable that is unset."""
    if not read(name):
        os.environ[name] = value


@contextlib.contextmanager
def override(variables: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment during the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def drop_blank() -> None:
    """Remove the blank ones among the variables that this program and its libraries read.

    Each entry point calls this once, before it imports a library that reads them.
    """
    for name, value in list(os.environ.items()):
        # The settings are read without regard to case: two spellings are one variable.
        ours = name in NAMES or name.upper().startswith(PREFIXES)
        if ours and not value.strip():
            del os.environ[name]


def check_key(key: str) -> str:
    """Return a key without the blanks around it.

    Raises:
        ValueError: it is too short, or no header of HTTP can carry it. The text does not show it.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("a key has printable ASCII characters only: no header carries another")
    if len(key) < LEAST_KEY:
        raise ValueError(
            f"a key has at least {LEAST_KEY} characters, this one {len(key)}; "
            'python -c "import secrets; print(secrets.token_urlsafe())" makes one'
        )
    return key


def read_key(name: str) -> str:
    """Return the key in a variable, an empty text if it is unset.

    Raises:
        ShelfmarkError: the key is too short, or no header of HTTP can carry it.
    """
    key = read(name)
    try:
        return check_key(key) if key else ""
    except ValueError as error:
        raise ShelfmarkError(f"{name}: {error}") from None


def describe_unknown(known: set[str]) -> list[str]:
    """Return a line for each variable that begins as this program's do and that it does not read.

    Args:
        known: the names of the settings.
    """
    known = known | set(OTHERS)
    lines = []
    for name in sorted(os.environ):
        capitals = name.upper()
        if not capitals.startswith(PREFIX) or capitals in known or not read(name):
            continue
        if "KUBERNETES_SERVICE_HOST" in os.environ and KUBERNETES.fullmatch(capitals):
            continue
        # Without what all of them begin with: else any two would be alike.
        whole = {one.removeprefix(PREFIX): one for one in known}
        close = difflib.get_close_matches(capitals.removeprefix(PREFIX), whole, n=1, cutoff=0.5)
        hint = f"; did you mean {whole[close[0]]}?" if close else ""
        lines.append(f"{name}: no such variable, it is ignored{hint}")
    return lines
