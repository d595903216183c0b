"""Send the runs that W&B lacks, by W&B's own `wandb sync`."""

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
from shelfmark.training.wandb import FOLDER, HEADER, LOCK, NO_ACCOUNT, PLACE

# Enough retries for a poor network; an unreachable server is reported within half a minute.
RETRIES = {
    "WANDB__GRAPHQL_RETRY_MAX": "4",
    "WANDB__GRAPHQL_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB__FILE_STREAM_RETRY_MAX": "4",
    "WANDB__FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB__FILE_TRANSFER_RETRY_MAX": "4",
    "WANDB__FILE_TRANSFER_RETRY_WAIT_MAX_SECONDS": "5",
}
AGAIN = "shelfmark sync again sends the rest"


def sync_runs(reports: Path, seconds: float = 3600) -> int:
    """Send every run in a folder of reports that W&B lacks; return their number.

    Runs that are still written are skipped, and two syncs at a time never send one twice.

    Args:
        reports: the folder; each run is in its `<name>/wandb`.
        seconds: the time limit for all.

    Raises:
        ShelfmarkError: no account, no network, a run was moved, or time is up; runs that were sent
            are marked as sent.
    """
    with contextlib.ExitStack() as stack:
        unsent = unsent_records(reports)
        held = {place for place in {*map(_home, unsent)} if stack.enter_context(_lock_run(place))}
        records = [record for record in unsent if _home(record) in held]
        for place in sorted(held):
            _check_place(place)
        if records:
            _send(records, seconds)
    return len(records)


def unsent_records(reports: Path) -> list[Path]:
    """Return the records in a folder that W&B lacks."""
    # A record of nothing but its header was killed before the run began.
    records = reports.glob(f"**/{FOLDER}/*run-*/run-*.wandb")
    return sorted(file for file in records if not is_sent(file) and file.stat().st_size > HEADER)


def is_sent(record: Path) -> bool:
    """Whether a record is marked as sent, by `wandb sync` or by the run that wrote it."""
    return record.with_name(f"{record.name}.synced").exists()


def _home(record: Path) -> Path:
    """Return the folder of the run that wrote a record."""
    return record.parents[2].resolve()


@contextlib.contextmanager
def _lock_run(home: Path) -> Iterator[bool]:
    """Lock a run's folder against other syncs; False if it is written or sent now."""
    lock = files.try_lock(home / FOLDER / LOCK)
    if lock is None:
        logger.warning("W&B: {} is in use, skipped", home)
        yield False
        return
    with lock:
        yield True


def _check_place(home: Path) -> None:
    """Check that a run was not moved: W&B would silently skip its model."""
    with contextlib.suppress(FileNotFoundError):
        before = (home / FOLDER / PLACE).read_text(encoding="utf-8").rstrip("\n")
        if before != str(home):
            raise ShelfmarkError(f"{home}: its record names files in {before}; move it back there")


def _send(records: list[Path], seconds: float) -> None:
    output = _wandb_sync(records, seconds)
    left = [record for record in records if not is_sent(record)]
    logger.info("W&B: {} of {} runs sent", len(records) - len(left), len(records))
    for place in re.findall(r"View run .* at (\S+)", output):
        logger.info("W&B: {}", place)
    if left:
        raise ShelfmarkError(f"{_home(left[0])} is not sent: {_reason(output)}; {AGAIN}")


def _wandb_sync(records: list[Path], seconds: float) -> str:
    """Call `wandb sync` on some records and return its output.

    Its exit status is always 0: the marks show what was sent.
    """
    command = [sys.executable, "-m", "wandb", "sync", "--include-online", *map(str, records)]
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"WANDB_DIR": scratch, "WANDB_CACHE_DIR": scratch, "WANDB_DATA_DIR": scratch}
        env = {**RETRIES, **os.environ, **folders, "WANDB_ERROR_REPORTING": "false"}
        for name in (
            "WANDB_SILENT",
            "WANDB_QUIET",
            "WANDB_MODE",
        ):
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


def _reason(output: str) -> str:
    """Return why `wandb sync` could not send a run, from its output."""
    if "No API key configured" in output:
        return f"{NO_ACCOUNT}; the record on disk is complete"
    errors = (
        re.findall(r"(?:wandb: ERROR|Error:) (.+)", output) or output.splitlines() or ["no answer"]
    )
    return str(errors[0]).rstrip(".")
