"""Where a run is recorded: files always, and W&B where asked."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

from shelfmark.config.schema import Config
from shelfmark.core import files
from shelfmark.training.wandb import WandbRun

Terms = dict[str, list[tuple[str, float]]]  # of each class, with their weights
# Of a model's card, recorded with the model.
ABOUT = ("name", "key", "created", "git_commit", "data", "classes", "rounds", "metrics", "files")


class Run(Protocol):
    """A place where a run is recorded."""

    @property
    def wants_report(self) -> bool:
        """Whether pictures and terms would be recorded: they take seconds to make."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record the values of one step."""

    def finish(self, summary: dict[str, Any]) -> None:
        """Record what the run came to."""

    def report(self, pictures: list[Path], terms: Terms) -> None:
        """Record pictures, and the telling terms of each class."""

    def keep(self, model: Path, about: dict[str, Any]) -> None:
        """Record the model itself, with what is to be known about it."""

    def close(self, failed: bool) -> None:
        """End the record, finished or not."""


class LocalRun:
    """Writes `history.jsonl` and `run.json` into a folder: no account, no network.

    Pictures and models are files already, in folders of their own.
    """

    wants_report = False

    def __init__(self, folder: Path, config: Config, origin: dict[str, Any]) -> None:
        self._summary = folder / "run.json"
        self._start = {"config": config.model_dump(mode="json"), "origin": origin}
        with files.report_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # Of an earlier run by this name: its history is written anew, from the first step.
            self._summary.unlink(missing_ok=True)
            self._history = (folder / "history.jsonl").open("wb")

    def log(self, step: int, values: dict[str, float]) -> None:
        """Append one line, to be read at once."""
        with files.report_write_errors(Path(self._history.name)):
            self._history.write(orjson.dumps({"step": step, **values}) + b"\n")
            self._history.flush()

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the configuration, what the run came from, and the summary side by side."""
        whole = {**self._start, "summary": summary}
        with files.atomic_write(self._summary) as file:
            file.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2))

    def report(self, pictures: list[Path], terms: Terms) -> None:
        """Leave them where they are."""

    def keep(self, model: Path, about: dict[str, Any]) -> None:
        """Leave it where it is."""

    def close(self, failed: bool) -> None:
        """Close the history, finished or not."""
        with contextlib.suppress(OSError):  # of a line that is told to be missing
            self._history.close()


class Recorder:
    """Tells every place where the run is recorded the same."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self._best: dict[str, float] = {}

    @property
    def wants_report(self) -> bool:
        """Whether any place would record pictures and terms."""
        return any(run.wants_report for run in self._runs)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record the values of one step everywhere."""
        loss = values.get("validation", math.inf)
        if loss < self._best.get("best_validation", math.inf):
            self._best = {"best_round": step, "best_validation": loss}
        for run in self._runs:
            run.log(step, values)

    def finish(self, summary: dict[str, Any]) -> None:
        """Record what the run came to everywhere, beside its best round, counted from 0."""
        for run in self._runs:
            run.finish({**summary, **self._best})

    def report(self, pictures: list[Path], terms: Terms) -> None:
        """Record pictures and the telling terms of each class wherever they are wanted."""
        for run in self._runs:
            run.report(pictures, terms)

    def keep(self, model: Path, card: dict[str, Any]) -> None:
        """Record a saved model everywhere, with the parts of its card that tell it from others."""
        about = {key: card[key] for key in ABOUT}
        about["classes"] = [entry["label"] for entry in card["classes"]]
        for run in self._runs:
            run.keep(model, about)


@contextlib.contextmanager
def start(config: Config, name: str, origin: dict[str, Any] | None = None) -> Iterator[Recorder]:
    """Open the run's record under `paths.reports/<name>` and, with `tracking=wandb`, at W&B.

    Args:
        config: what the run does; its `tracking` says where it is recorded.
        name: the run's name, for people.
        origin: what the run came from: the training's `key`, the `data_card_sha256`, the
            `git_commit`.

    Raises:
        ShelfmarkError: the folder cannot be written, or the wandb extra is not installed.
    """
    folder = Path(config.paths.reports) / name
    origin = origin or {}
    with contextlib.ExitStack() as stack:
        runs: list[Run] = []

        def add(run: Run) -> None:
            runs.append(run)
            stack.push(lambda kind, *_: run.close(failed=kind is not None))

        add(LocalRun(folder, config, origin))
        if config.tracking.kind == "wandb":
            add(WandbRun(name, folder, config, origin))
        yield Recorder(runs)
