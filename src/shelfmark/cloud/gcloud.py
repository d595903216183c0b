"""Runs gcloud, the one program through which the project and the service are changed."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import Any

from shelfmark.errors import ShelfmarkError

Command = list[str]  # the words behind `gcloud`
ABSENT = ("NOT_FOUND", "not found", "does not exist", "Cannot find", "404")


def require_login(without: str) -> None:
    """Raise unless gcloud is installed and signed in.

    Args:
        without: what works without it, for the error.

    Raises:
        ShelfmarkError: gcloud is not installed, or not signed in.
    """
    if shutil.which("gcloud") is None:
        raise ShelfmarkError(
            f"gcloud is not installed: cloud.google.com/sdk; without it, {without}"
        )
    if not _execute(["config", "get-value", "account"]).stdout.strip():
        raise ShelfmarkError(f"not signed in: run gcloud auth login; without an account, {without}")


def as_shell(command: Command) -> str:
    """Return a command as a line for a shell."""
    return f"gcloud {shlex.join(command)}"


def run(command: Command, stdin: str | None = None) -> str:
    """Run one command and return its standard output.

    Args:
        command: the words after `gcloud`.
        stdin: what the command reads, such as a secret that no command line may show.

    Raises:
        ShelfmarkError: it failed; with gcloud's reason.
    """
    done = _execute(command, stdin)
    if done.returncode:
        raise ShelfmarkError(f"gcloud {' '.join(command[:4])}: {_reason(done.stderr)}")
    return done.stdout.strip()


def run_visible(command: Command) -> None:
    """Run a command that takes long, with its output on the terminal.

    Raises:
        ShelfmarkError: it failed.
    """
    if subprocess.run(_words(command), check=False).returncode:
        raise ShelfmarkError(f"gcloud {' '.join(command[:2])} failed; its output is above")


def run_json(command: Command) -> Any:
    """Run a command with --format=json and return the value that it prints.

    Raises:
        ShelfmarkError: it failed.
    """
    return json.loads(run([*command, "--format=json"]) or "null")


def run_or_none(command: Command) -> str | None:
    """Return what a command prints about a resource, None if the resource does not exist.

    Raises:
        ShelfmarkError: it failed for another reason.
    """
    done = _execute(command)
    if done.returncode == 0:
        return done.stdout.strip() or None
    if any(sign in done.stderr for sign in ABSENT):
        return None
    raise ShelfmarkError(f"gcloud {' '.join(command[:4])}: {_reason(done.stderr)}")


def _execute(command: Command, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _words(command), input=stdin or "", capture_output=True, text=True, check=False
    )


def _words(command: Command) -> list[str]:
    # By its whole path: on Windows it is a script that only a search finds.
    return [shutil.which("gcloud") or "gcloud", *command, "--quiet"]


def _reason(stderr: str) -> str:
    """Return the line of gcloud's output that gives the reason of a failure."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["failed"])[0].removeprefix("ERROR: ")
