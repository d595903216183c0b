"""Where a run is recorded: files always, and W&B where asked. No other module names W&B."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson
from loguru import logger

from shelfmark import files
from shelfmark.errors import ShelfmarkError
from shelfmark.schema import Config


class Run(Protocol):
    """A place where a run is recorded."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record the values of one step."""

    def finish(self, summary: dict[str, Any]) -> None:
        """Record what the run came to."""

    def close(self) -> None:
        """End the record, finished or not."""


class LocalRun:
    """Writes `history.jsonl` and `run.json` into a folder: no account, no network."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._summary = folder / "run.json"
        self._config = config.model_dump(mode="json")
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # Of an earlier run by this name: its history is written anew, from the first step.
            self._summary.unlink(missing_ok=True)
            self._history = (folder / "history.jsonl").open("wb")

    def log(self, step: int, values: dict[str, float]) -> None:
        """Append one line, to be read at once."""
        with files.writing(Path(self._history.name)):
            self._history.write(orjson.dumps({"step": step, **values}) + b"\n")
            self._history.flush()

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the configuration and the summary side by side."""
        whole = {"config": self._config, "summary": summary}
        with files.file_aside(self._summary) as file:
            file.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2))

    def close(self) -> None:
        """Close the history, finished or not."""
        with contextlib.suppress(OSError):  # of a line that is told to be missing
            self._history.close()


class WandbRun:
    """Sends the same to W&B; whatever fails there is said once and never stops a training."""

    def __init__(self, name: str, folder: Path, config: Config) -> None:
        try:
            import wandb
        except ModuleNotFoundError:
            raise ShelfmarkError(
                "tracking=wandb needs the wandb extra: uv sync --extra wandb"
            ) from None
        tracking = config.tracking
        self._run = self._attempt(
            lambda: wandb.init(
                project=tracking.project,
                entity=tracking.entity,
                name=name,
                dir=str(folder),
                config=config.model_dump(mode="json"),
            )
        )

    def _attempt(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # W&B raises errors of many kinds, none of them ours to mend
            logger.warning("W&B: {}; the run goes on without it", str(error).partition("\n")[0])
            self._run = None

    def log(self, step: int, values: dict[str, float]) -> None:
        """Send the values of one step."""
        if self._run is not None:
            self._attempt(lambda: self._run.log(values, step=step))

    def finish(self, summary: dict[str, Any]) -> None:
        """Send what the run came to."""
        if self._run is not None:
            self._attempt(lambda: self._run.summary.update(summary))

    def close(self) -> None:
        """End the W&B run, finished or not."""
        if self._run is not None:
            self._attempt(lambda: self._run.finish())


class Recorder:
    """Tells every place where the run is recorded the same."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record the values of one step everywhere."""
        for run in self._runs:
            run.log(step, values)

    def finish(self, summary: dict[str, Any]) -> None:
        """Record what the run came to everywhere."""
        for run in self._runs:
            run.finish(summary)


@contextlib.contextmanager
def start(config: Config, name: str) -> Iterator[Recorder]:
    """Open the run's record under `paths.reports/<name>` and, with `tracking=wandb`, at W&B.

    Raises:
        ShelfmarkError: the folder cannot be written, or the wandb extra is not installed.
    """
    folder = Path(config.paths.reports) / name
    with contextlib.ExitStack() as stack:
        runs: list[Run] = [LocalRun(folder, config)]
        stack.callback(runs[0].close)
        if config.tracking.kind == "wandb":
            runs.append(WandbRun(name, folder, config))
            stack.callback(runs[1].close)
        yield Recorder(runs)
