"""Runs gcloud, the one program through which the project and the service are changed."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import Any

from shelfmark.errors import ShelfmarkError

Command = list[str]  # without the program's own name
ABSENT = ("NOT_FOUND", "not found", "does not exist", "Cannot find", "404")


def require(without: str) -> None:
    """Let pass a machine that has gcloud and is signed in.

    Args:
        without: what works without, for the error.

    Raises:
        ShelfmarkError: one line that says what is missing.
    """
    if shutil.which("gcloud") is None:
        raise ShelfmarkError(
            f"gcloud is not installed: cloud.google.com/sdk; without it, {without}"
        )
    if not _done(["config", "get-value", "account"]).stdout.strip():
        raise ShelfmarkError(f"nobody is signed in: gcloud auth login; without, {without}")


def typed(command: Command) -> str:
    """Return a command as one would type it."""
    return f"gcloud {shlex.join(command)}"


def run(command: Command, given: str | None = None) -> str:
    """Run one command and return what it prints.

    Args:
        command: the words behind `gcloud`.
        given: what it reads, as a secret is that must not stand among the words.

    Raises:
        ShelfmarkError: it failed; in its own words.
    """
    done = _done(command, given)
    if done.returncode:
        raise ShelfmarkError(f"gcloud {' '.join(command[:4])}: {_reason(done.stderr)}")
    return done.stdout.strip()


def shown(command: Command) -> None:
    """Run a command that takes long, its output on the screen.

    Raises:
        ShelfmarkError: it failed.
    """
    if subprocess.run(_words(command), check=False).returncode:
        raise ShelfmarkError(f"gcloud {' '.join(command[:2])} failed; it says why above")


def answered(command: Command) -> Any:
    """Run a command with --format=json and return what it tells.

    Raises:
        ShelfmarkError: it failed.
    """
    return json.loads(run([*command, "--format=json"]) or "null")


def found(command: Command) -> str | None:
    """Return what a command prints of a thing, None where there is no such thing.

    Raises:
        ShelfmarkError: it failed for another reason.
    """
    done = _done(command)
    if done.returncode == 0:
        return done.stdout.strip() or None
    if any(sign in done.stderr for sign in ABSENT):
        return None
    raise ShelfmarkError(f"gcloud {' '.join(command[:4])}: {_reason(done.stderr)}")


def _done(command: Command, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _words(command), input=given or "", capture_output=True, text=True, check=False
    )


def _words(command: Command) -> list[str]:
    # By its whole path: on Windows it is a script that only a search finds.
    return [shutil.which("gcloud") or "gcloud", *command, "--quiet"]


def _reason(stderr: str) -> str:
    """Return the line that says what went wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["failed"])[0].removeprefix("ERROR: ")
