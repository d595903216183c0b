"""Sending the runs that W&B does not have yet, by W&B's own `wandb sync`."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loguru import logger

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.training.wandb import FOLDER, LOCK, NO_ACCOUNT, PLACE

HEADER = 7  # bytes; a record that has no more was killed before it began
# Enough for a network that stumbles; a server that is gone is told within half a minute.
PATIENCE = {
    "WANDB__GRAPHQL_RETRY_MAX": "4",
    "WANDB__GRAPHQL_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB__FILE_STREAM_RETRY_MAX": "4",
    "WANDB__FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB__FILE_TRANSFER_RETRY_MAX": "4",
    "WANDB__FILE_TRANSFER_RETRY_WAIT_MAX_SECONDS": "5",
}
AGAIN = "inv sync again sends the rest"


def sync(reports: Path, seconds: float = 3600) -> int:
    """Send every run under a folder of reports that W&B does not have; return how many.

    Runs that are still written are left for later, and two at the same time never send one twice.

    Args:
        reports: the folder; each run is in its `<name>/wandb`.
        seconds: the longest time for all.

    Raises:
        ShelfmarkError: no account, no network, a run's files are elsewhere, or time is up; what has
            been sent is marked as sent.
    """
    with contextlib.ExitStack() as stack:
        found = unsent(reports)
        held = {place for place in {*map(_home, found)} if stack.enter_context(_held(place))}
        records = [record for record in found if _home(record) in held]
        for place in sorted(held):
            _check_place(place)
        if records:
            _send(records, seconds)
    return len(records)


def unsent(reports: Path) -> list[Path]:
    """Return the records of runs under a folder that hold something W&B does not have."""
    records = reports.glob(f"**/{FOLDER}/*run-*/run-*.wandb")
    return sorted(file for file in records if not sent(file) and file.stat().st_size > HEADER)


def sent(record: Path) -> bool:
    """Whether a record is marked as arrived, by `wandb sync` or by the run that wrote it."""
    return record.with_name(f"{record.name}.synced").exists()


def _home(record: Path) -> Path:
    """Return the folder of the run that a record is of."""
    return record.parents[2].resolve()


@contextlib.contextmanager
def _held(home: Path) -> Iterator[bool]:
    """Hold a run's folder so that nobody else sends it; False if somebody writes or sends it."""
    lock = files.try_lock(home / FOLDER / LOCK)
    if lock is None:
        logger.warning("W&B: {} is in use, left for later", home)
        yield False
        return
    with lock:
        yield True


def _check_place(home: Path) -> None:
    """Check that a run is where it was written: its model would be missed in silence otherwise."""
    with contextlib.suppress(FileNotFoundError):
        before = (home / FOLDER / PLACE).read_text(encoding="utf-8").rstrip("\n")
        if before != str(home):
            raise ShelfmarkError(f"{home}: its record names files in {before}; move it back there")


def _send(records: list[Path], seconds: float) -> None:
    said = _wandb_sync(records, seconds)
    left = [record for record in records if not sent(record)]
    logger.info("W&B: {} of {} runs sent", len(records) - len(left), len(records))
    for place in re.findall(r"View run .* at (\S+)", said):
        logger.info("W&B: {}", place)
    if left:
        raise ShelfmarkError(f"{_home(left[0])} is not sent: {_reason(said)}; {AGAIN}")


def _wandb_sync(records: list[Path], seconds: float) -> str:
    """Call `wandb sync` on some records and return what it says.

    Its exit status is 0 whatever happened: the marks tell what has arrived.
    """
    command = [sys.executable, "-m", "wandb", "sync", "--include-online", *map(str, records)]
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"WANDB_DIR": scratch, "WANDB_CACHE_DIR": scratch, "WANDB_DATA_DIR": scratch}
        env = {**PATIENCE, **os.environ, **folders, "WANDB_ERROR_REPORTING": "false"}
        for name in ("WANDB_SILENT", "WANDB_QUIET", "WANDB_MODE"):  # told not to speak, or to send
            env.pop(name, None)
        try:
            done = subprocess.run(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ShelfmarkError(f"W&B: not all sent in {seconds:,.0f} s; {AGAIN}") from None
    return done.stdout


def _reason(said: str) -> str:
    """Return why `wandb sync` could not send a run, from what it says."""
    if "No API key configured" in said:
        return f"{NO_ACCOUNT}; the record in files is whole without"
    errors = re.findall(r"(?:wandb: ERROR|Error:) (.+)", said) or said.splitlines() or ["no answer"]
    return str(errors[0]).rstrip(".")
