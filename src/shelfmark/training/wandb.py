"""The record of a run at W&B, or beside it on disk until `inv sync` sends it."""

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

from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.training import wandb_record

FOLDER = "wandb"  # in the run's folder
# In it: held while the run is written, and where it was written, for offline runs name their files.
LOCK, PLACE = "lock", "place"
FOLDERS = {
    "WANDB_DIR": ".",
    "WANDB_DATA_DIR": f"{FOLDER}/data",
    "WANDB_CACHE_DIR": f"{FOLDER}/cache",
    "WANDB_CONFIG_DIR": f"{FOLDER}/config",
    "WANDB_ARTIFACT_DIR": f"{FOLDER}/artifacts",
}
# Whoever sets one of these has the last word.
DEFAULTS = {
    "WANDB_SILENT": "true",  # what matters of it is in our log
    "WANDB_ERROR_REPORTING": "false",  # of W&B's own errors, told on our standard error too
    "WANDB_HTTP_TIMEOUT": "10",
    "WANDB_INIT_TIMEOUT": "20",
    "WANDB_FINISH_TIMEOUT": "120",  # the rest is left to inv sync
}
NO_ACCOUNT = "no key: set WANDB_API_KEY or call `uv run --extra wandb wandb login`"
LATER = "what is recorded is sent by inv sync"


class WandbRun:
    """Sends the same to W&B; whatever fails there is said once and never stops a training.

    Args:
        name: the run's name at W&B.
        folder: the run's folder; all that W&B writes goes into its folder `wandb`.
        config: the configuration.
        origin: what the run came from; its `key` groups a training that went on with its beginning.

    Raises:
        ShelfmarkError: the wandb extra is not installed.
    """

    def __init__(self, name: str, folder: Path, config: Config, origin: dict[str, Any]) -> None:
        self._tracking, self._experiment, self._next_step = config.tracking, config.experiment, 0
        self._folder = folder.resolve()
        self._open = contextlib.ExitStack()
        self._open.enter_context(environment(self._folder))
        try:
            import wandb
        except ModuleNotFoundError:
            self._open.close()
            raise ShelfmarkError(
                "tracking=wandb needs the wandb extra: uv sync --extra wandb"
            ) from None
        self._wandb = wandb
        self._run: Any = None
        self._run = self._attempt(lambda: self._start(name, config, origin))

    @property
    def wants_report(self) -> bool:
        """Whether pictures and terms would be recorded."""
        return self._run is not None

    def log(self, step: int, values: dict[str, float]) -> None:
        """Send the values of one step."""
        self._next_step = step + 1
        self._send(lambda run: run.log(values, step=step, commit=True))

    def finish(self, summary: dict[str, Any]) -> None:
        """Send what the run came to."""
        self._send(lambda run: run.summary.update(summary))

    def report(self, pictures: list[Path], terms: dict[str, list[tuple[str, float]]]) -> None:
        """Send the pictures, and the telling terms as a table, as the step after the last."""
        rows = [[label, *term] for label, found in terms.items() for term in found]

        def send(run: Any) -> None:
            drawn = {f"pictures/{path.stem}": self._wandb.Image(str(path)) for path in pictures}
            table = self._wandb.Table(columns=["class", "word", "weight"], data=rows)
            run.log({**drawn, "telling_terms": table}, step=self._next_step, commit=True)

        self._send(send)

    def keep(self, model: Path, about: dict[str, Any]) -> None:
        """Send a model's folder as a version of the project's model."""

        def send(run: Any) -> None:
            name = re.sub(r"[^\w.-]", "-", self._tracking.project)
            made = self._wandb.Artifact(name, type="model", metadata=about)
            # Copied, so that the offline run stays whole when the model is moved or removed.
            made.add_dir(str(model), skip_cache=True)
            aliases = ["latest", model.name, *filter(None, [self._experiment])]
            run.log_artifact(made, aliases=aliases)

        self._send(send)

    def close(self, failed: bool) -> None:
        """End the W&B run, finished or not."""
        with self._open:
            self._send(lambda run: run.finish(exit_code=int(failed)))
            with contextlib.suppress(Exception):  # of what has failed before
                if self._run is None and self._wandb.run is not None:
                    self._wandb.run.finish(exit_code=int(failed))
            # Waits until W&B's own process has written all, and would exit if that has died.
            # A sweep's agent asks for its next run through the same process, and ends it itself.
            if "WANDB_SWEEP_ID" not in os.environ:
                with contextlib.suppress(Exception, SystemExit):
                    self._wandb.teardown()
            self._send(self._mark)

    def _start(self, name: str, config: Config, origin: dict[str, Any]) -> Any:
        """Return a run at W&B, or offline where it is asked for or W&B cannot be reached."""
        place = self._folder / FOLDER
        place.mkdir(exist_ok=True)
        (place / PLACE).write_text(f"{self._folder}\n", encoding="utf-8")
        if (lock := files.try_lock(place / LOCK)) is not None:
            self._open.enter_context(lock)
        asked = os.environ.get("WANDB_MODE", "online")
        trouble = None if asked in ("offline", "dryrun", "disabled") else self._trouble()
        if trouble is None:
            try:
                run = self._init(asked, name, config, origin)
                logger.info("W&B: {}", run.url or f"offline under {place}; {LATER}")
                return run
            except Exception as error:  # no entity by this name, the server has just gone, …
                trouble = _line(error)
        run = self._init("offline", name, config, origin)
        logger.warning("W&B: {}; the run goes on offline, {}", trouble, LATER)
        return run

    def _trouble(self) -> str | None:
        """Return why nothing can be sent to W&B now, None if it can."""
        try:
            return None if self._wandb.login(prompt=False, verify=True) else NO_ACCOUNT
        except Exception as error:
            return _line(error)

    def _init(self, mode: Any, name: str, config: Config, origin: dict[str, Any]) -> Any:
        return self._wandb.init(
            project=self._tracking.project,
            entity=self._tracking.entity,
            name=name,
            group=os.environ.get("WANDB_RUN_GROUP", origin.get("key")),
            mode=mode,
            dir=str(self._folder),
            config={**config.model_dump(mode="json"), "origin": origin},
            settings=self._wandb.Settings(
                # The commit is ours to tell: W&B would send the changes since, whatever is in them.
                disable_git=True,
                git_commit=origin.get("git_commit"),
                finish_timeout_raises=True,
                x_transaction_log_flush_interval=1.0,  # seconds; what a killed run may lose
            ),
        )

    def _mark(self, run: Any) -> None:
        """Mark a run that has arrived as W&B's own sync marks it, and see that no other is cut."""
        record = Path(run.settings.sync_file)
        if not run.offline:
            record.with_name(f"{record.name}.synced").touch()
        elif not self._ends(record):  # W&B tells of it in its own log alone
            raise OSError(f"the end of {record} is not written; is the disk full?")

    def _ends(self, record: Path) -> bool:
        from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

        kinds = [
            Record.FromString(part).WhichOneof("record_type") for part in wandb_record.read(record)
        ]
        return "exit" in kinds[-2:]

    def _send(self, action: Callable[[Any], object]) -> None:
        if self._run is not None:
            self._attempt(lambda: action(self._run))

    def _attempt(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # W&B raises errors of many kinds, none of them ours to mend
            rest = f"; {LATER}" if self._run else ""
            logger.warning("W&B: {}; the run goes on without it{}", _line(error), rest)
            self._run = None


@contextlib.contextmanager
def environment(folder: Path) -> Iterator[None]:
    """Keep everything that W&B writes in a run's folder while the block runs."""
    before, raising, noted = dict(os.environ), logging.raiseExceptions, server()
    os.environ |= {name: str(folder / inside) for name, inside in FOLDERS.items()}
    for name, value in {**DEFAULTS, **noted}.items():
        os.environ.setdefault(name, value)
    logging.raiseExceptions = False  # W&B's own log on a full disk would fill the screen
    try:
        yield
    finally:
        logging.raiseExceptions = raising
        for name in {*FOLDERS, *DEFAULTS, *noted}:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def server() -> dict[str, str]:
    """Return the server that `wandb login --host` has noted where a run will not look."""
    folder = Path(os.environ.get("WANDB_CONFIG_DIR", "~/.config/wandb")).expanduser()
    noted = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
        noted.read(folder / "settings", encoding="utf-8")
    url = noted.get("default", "base_url", fallback=None)
    return {"WANDB_BASE_URL": url} if url else {}


def _line(error: Exception) -> str:
    """Return the first line of an error, or what kind it is."""
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
