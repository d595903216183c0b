"""The record of a run at W&B, or on disk until `shelfmark sync` sends it."""

from __future__ import annotations

import configparser
import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from loguru import logger
from pydantic import ValidationError

from shelfmark.config.problems import describe_problem, first_problem
from shelfmark.config.trainings import Settings
from shelfmark.core import environment, files, project
from shelfmark.errors import ShelfmarkError

FOLDER = "wandb"  # in the run's folder
# In it: a file locked while the run is written, and the path of the folder, for a run names files.
LOCK, PLACE = "lock", "place"
FOLDERS = {
    "WANDB_DIR": ".",
    "WANDB_DATA_DIR": f"{FOLDER}/data",
    "WANDB_CACHE_DIR": f"{FOLDER}/cache",
    "WANDB_CONFIG_DIR": f"{FOLDER}/config",
    "WANDB_ARTIFACT_DIR": f"{FOLDER}/artifacts",
}
# Variables that are set already are kept.
DEFAULTS = {
    "WANDB_SILENT": "true",  # our log has the messages that matter
    "WANDB_ERROR_REPORTING": "false",  # W&B's own error reports, which also go to standard error
    "WANDB_HTTP_TIMEOUT": "10",
    "WANDB_INIT_TIMEOUT": "20",
    "WANDB_FINISH_TIMEOUT": "120",  # the rest is left to shelfmark sync
}
# Of W&B's record on disk: a header, then chunks in LevelDB's log format.
HEADER = 7  # bytes, of the file and of each chunk: CRC-32 (4), length (2), kind (1)
BLOCK = 32768  # bytes; a chunk never crosses the border of a block
WHOLE, LAST = 1, 4  # kinds; 2 and 3 begin and continue a record that LAST ends
NO_ACCOUNT = "no key: set WANDB_API_KEY or call `uv run --extra wandb wandb login`"
LATER = "shelfmark sync sends what is recorded"


class WandbRun:
    """Sends a run to W&B; a failure there is logged once and never stops a training.

    Args:
        name: the run's name at W&B.
        folder: the run's folder; W&B writes only to its folder `wandb`.
        config: the configuration.
        origin: as in `tracking.start_run`; its `key` groups the parts of a resumed training.

    Raises:
        ShelfmarkError: the wandb extra is not installed.
    """

    def __init__(self, name: str, folder: Path, config: Settings, origin: dict[str, Any]) -> None:
        self._tracking, self._experiment, self._next_step = config.tracking, config.experiment, 0
        self._folder = folder.resolve()
        self._open = contextlib.ExitStack()
        self._open.enter_context(wandb_environment(self._folder))
        try:
            import wandb
        except ModuleNotFoundError:
            self._open.close()
            raise ShelfmarkError(
                f"tracking=wandb needs the wandb extra: {project.install_command('wandb')}"
            ) from None
        self._wandb = wandb
        self._run: Any = None
        self._run = self._attempt(lambda: self._start(name, config, origin))

    @property
    def wants_report(self) -> bool:
        """Whether pictures and terms are recorded."""
        return self._run is not None

    def log(self, step: int, values: dict[str, float]) -> None:
        """Send the values of one step."""
        self._next_step = step + 1
        self._send(lambda run: run.log(values, step=step, commit=True))

    def finish(self, summary: dict[str, Any]) -> None:
        """Send the summary."""
        self._send(lambda run: run.summary.update(summary))

    def log_report(self, pictures: list[Path], terms: dict[str, list[tuple[str, float]]]) -> None:
        """Send the pictures, and the telling terms as a table, as the step after the last."""
        rows = [[label, *term] for label, found in terms.items() for term in found]

        def send(run: Any) -> None:
            drawn = {f"pictures/{path.stem}": self._wandb.Image(str(path)) for path in pictures}
            table = self._wandb.Table(columns=["class", "word", "weight"], data=rows)
            run.log({**drawn, "telling_terms": table}, step=self._next_step, commit=True)

        self._send(send)

    def log_artifact(self, kind: str, folder: Path, metadata: dict[str, Any]) -> None:
        """Send a folder as a version of the project's model, or of its encoder.

        The model has the name of the project; at W&B, every other kind needs a name of its own.
        """

        def send(run: Any) -> None:
            project = self._tracking.project
            name = re.sub(r"[^\w.-]", "-", project if kind == "model" else f"{project}-{kind}")
            artifact = self._wandb.Artifact(name, type=kind, metadata=metadata)
            # Copied, so that the offline run stays whole when the folder is moved or removed.
            artifact.add_dir(str(folder), skip_cache=True)
            aliases = ["latest", folder.name, *filter(None, [self._experiment])]
            run.log_artifact(artifact, aliases=aliases)

        self._send(send)

    def close(self, failed: bool) -> None:
        """Close the W&B run, finished or failed."""
        with self._open:
            self._send(lambda run: run.finish(exit_code=int(failed)))
            with contextlib.suppress(Exception):  # a failure was logged before
                if self._run is None and self._wandb.run is not None:
                    self._wandb.run.finish(exit_code=int(failed))
            # Waits until W&B's process has written everything; exits if that process has died.
            # The agent of a sweep uses the same process for its next run, and ends it itself.
            if not environment.read("WANDB_SWEEP_ID"):
                with contextlib.suppress(Exception, SystemExit):
                    self._wandb.teardown()
            self._send(self._mark)

    def _start(self, name: str, config: Settings, origin: dict[str, Any]) -> Any:
        """Return a run at W&B, offline if the user asks for that or W&B cannot be reached."""
        place = self._folder / FOLDER
        place.mkdir(exist_ok=True)
        (place / PLACE).write_text(f"{self._folder}\n", encoding="utf-8")
        if (lock := files.try_lock(place / LOCK)) is not None:
            self._open.enter_context(lock)
        asked = environment.read("WANDB_MODE", "online")
        trouble = None if asked in ("offline", "dryrun", "disabled") else self._trouble()
        if trouble is None:
            try:
                run = self._init(asked, name, config, origin)
                logger.info("W&B: {}", run.url or f"offline under {place}; {LATER}")
                return run
            except Exception as error:  # no entity by this name, the server is down, …
                trouble = _line(error)
        run = self._init("offline", name, config, origin)
        logger.warning("W&B: {}; the run continues offline, {}", trouble, LATER)
        return run

    def _trouble(self) -> str | None:
        """Return why W&B cannot be reached, None if it can."""
        try:
            return None if self._wandb.login(prompt=False, verify=True) else NO_ACCOUNT
        except Exception as error:
            return _line(error)

    def _init(self, mode: Any, name: str, config: Settings, origin: dict[str, Any]) -> Any:
        return self._wandb.init(
            project=self._tracking.project,
            entity=self._tracking.entity,
            name=name,
            group=environment.read("WANDB_RUN_GROUP") or origin.get("key"),
            mode=mode,
            dir=str(self._folder),
            config={**config.model_dump(mode="json"), "origin": origin},
            settings=self._wandb.Settings(
                # W&B would send all uncommitted changes, which may hold secrets.
                disable_git=True,
                git_commit=origin.get("git_commit"),
                finish_timeout_raises=True,
                x_transaction_log_flush_interval=1.0,  # seconds that a killed run may lose
            ),
        )

    def _mark(self, run: Any) -> None:
        """Mark a sent run as W&B's own sync does; check the record of an offline one."""
        record = Path(run.settings.sync_file)
        if not run.offline:
            record.with_name(f"{record.name}.synced").touch()
        elif not self._ends(record):  # W&B reports it only in its own log
            raise OSError(f"the end of {record} is not written; is the disk full?")

    def _ends(self, record: Path) -> bool:
        from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

        kinds = [Record.FromString(part).WhichOneof("record_type") for part in read_records(record)]
        return "exit" in kinds[-2:]

    def _send(self, action: Callable[[Any], object]) -> None:
        if self._run is not None:
            self._attempt(lambda: action(self._run))

    def _attempt(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # W&B raises errors of many kinds
            rest = f"; {LATER}" if self._run else ""
            logger.warning("W&B: {}; the run continues without it{}", _line(error), rest)
            self._run = None


def read_records(file: Path) -> Iterator[bytes]:
    """Yield the records of W&B's record on disk, each a serialized `Record`, until it ends.

    Source: https://github.com/google/leveldb/blob/main/doc/log_format.md; W&B's own header counts
    to the first block.
    """
    content, place, parts = file.read_bytes(), HEADER, b""
    while place + HEADER <= len(content):
        room = BLOCK - place % BLOCK
        if room < HEADER:  # filled up with zeros
            place += room
            continue
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        kind, start = content[place + 6], place + HEADER
        if start + length > len(content):
            return
        parts += content[start : start + length]
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""
        place = start + length


@contextlib.contextmanager
def wandb_environment(folder: Path) -> Iterator[None]:
    """Direct all files of W&B to a run's folder while the block runs."""
    before, raising, saved = dict(os.environ), logging.raiseExceptions, configured_server()
    os.environ |= {name: str(folder / inside) for name, inside in FOLDERS.items()}
    for name, value in {**DEFAULTS, **saved}.items():
        environment.set_default(name, value)
    logging.raiseExceptions = False  # on a full disk W&B's log would fill the screen
    try:
        yield
    finally:
        logging.raiseExceptions = raising
        for name in {*FOLDERS, *DEFAULTS, *saved}:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def configured_server() -> dict[str, str]:
    """Return the server that `wandb login --host` has saved, which a run does not read."""
    folder = Path(environment.read("WANDB_CONFIG_DIR", "~/.config/wandb")).expanduser()
    saved = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
        saved.read(folder / "settings", encoding="utf-8")
    url = saved.get("default", "base_url", fallback=None)
    return {"WANDB_BASE_URL": url} if url else {}


def _line(error: Exception) -> str:
    """Return the first line of an error, else its type; of an invalid variable, its name."""
    if isinstance(error, ValidationError):
        return _describe_setting(first_problem(error))
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def _describe_setting(problem: dict[str, Any]) -> str:
    """Return the variable of an invalid setting of W&B, and what it should be; never a key."""
    name, value = f"WANDB_{problem['loc'][0]}".upper(), problem["input"]
    if name not in os.environ:  # the field has another name than its variable
        given = [one for one in sorted(os.environ) if one.startswith("WANDB_")]
        name = next((one for one in given if os.environ.get(one) == value), name)
    shown = f"{value!r} " if isinstance(value, str) and "KEY" not in name else ""
    return f"{name}: {shown}{describe_problem(problem)}"
