"""The record of a run: files of its folder, and W&B with `tracking=wandb`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

from shelfmark.config.trainings import Settings
from shelfmark.core import files
from shelfmark.embeddings.card import EncoderCard
from shelfmark.models.card import ModelCard
from shelfmark.training.wandb import WandbRun

Terms = dict[str, list[tuple[str, float]]]  # the terms of each class, with their weights
# The parts of a card that are recorded with the artifact.
METADATA = ("name", "key", "created", "git_commit", "data", "metrics", "files", "digest")
MODEL_METADATA = (*METADATA, "classes", "rounds")
ENCODER_METADATA = (*METADATA, "size", "sizes", "details")


class Run(Protocol):
    """A place where a run is recorded."""

    @property
    def wants_report(self) -> bool:
        """Whether pictures and terms are recorded: they take seconds to compute."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record the values of one step."""

    def finish(self, summary: dict[str, Any]) -> None:
        """Record the summary of the run."""

    def log_report(self, pictures: list[Path], terms: Terms) -> None:
        """Record pictures, and the telling terms of each class."""

    def log_artifact(self, kind: str, folder: Path, metadata: dict[str, Any]) -> None:
        """Record an artifact of a kind, `model` or `encoder`, and its metadata."""

    def close(self, failed: bool) -> None:
        """Close the record of a finished or failed run."""


class LocalRun:
    """Writes `history.jsonl` and `run.json` into a folder: no account, no network.

    Pictures and artifacts are files already.
    """

    wants_report = False

    def __init__(self, folder: Path, config: Settings, origin: dict[str, Any]) -> None:
        self._summary = folder / "run.json"
        self._start = {"config": config.model_dump(mode="json"), "origin": origin}
        with files.report_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # An earlier run of this name: its history is replaced from the first step.
            self._summary.unlink(missing_ok=True)
            self._history = (folder / "history.jsonl").open("wb")

    def log(self, step: int, values: dict[str, float]) -> None:
        """Append one line and flush it."""
        with files.report_write_errors(Path(self._history.name)):
            self._history.write(orjson.dumps({"step": step, **values}) + b"\n")
            self._history.flush()

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the configuration, the origin and the summary."""
        whole = {**self._start, "summary": summary}
        with files.atomic_write(self._summary) as file:
            file.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2))

    def log_report(self, pictures: list[Path], terms: Terms) -> None:
        """Do nothing: they are files already."""

    def log_artifact(self, kind: str, folder: Path, metadata: dict[str, Any]) -> None:
        """Do nothing: it is a folder already."""

    def close(self, failed: bool) -> None:
        """Close the history of a finished or failed run."""
        with contextlib.suppress(OSError):  # the error of the last line was reported before
            self._history.close()


class Recorder:
    """Records a run in several places at once."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self._best: dict[str, float] = {}

    @property
    def wants_report(self) -> bool:
        """Whether any place records pictures and terms."""
        return any(run.wants_report for run in self._runs)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Record the values of one step everywhere."""
        loss = values.get("validation", math.inf)
        if loss < self._best.get("best_validation", math.inf):
            self._best = {"best_round": step, "best_validation": loss}
        for run in self._runs:
            run.log(step, values)

    def finish(self, summary: dict[str, Any]) -> None:
        """Record the summary everywhere, with the best round, counted from 0."""
        for run in self._runs:
            run.finish({**summary, **self._best})

    def log_report(self, pictures: list[Path], terms: Terms) -> None:
        """Record pictures and the telling terms of each class everywhere."""
        for run in self._runs:
            run.log_report(pictures, terms)

    def log_model(self, model: Path, card: ModelCard) -> None:
        """Record a saved model everywhere, with parts of its card as metadata."""
        values = card.to_json() | {"classes": card.labels, "digest": card.digest}
        metadata = {key: values[key] for key in MODEL_METADATA if key in values}
        self._log_artifact("model", model, metadata)

    def log_encoder(self, encoder: Path, card: EncoderCard) -> None:
        """Record a saved encoder everywhere, with parts of its card as metadata."""
        values = card.to_json() | {"digest": card.digest}
        self._log_artifact("encoder", encoder, {key: values[key] for key in ENCODER_METADATA})

    def _log_artifact(self, kind: str, folder: Path, metadata: dict[str, Any]) -> None:
        for run in self._runs:
            run.log_artifact(kind, folder, metadata)


@contextlib.contextmanager
def start_run(
    config: Settings, name: str, origin: dict[str, Any] | None = None
) -> Iterator[Recorder]:
    """Open the record of a run in `paths.reports/<name>` and, with `tracking=wandb`, at W&B.

    Args:
        config: the configuration of the run, of a classifier or of an encoder.
        name: the name of the run.
        origin: the training's `key`, `data_card_sha256` and `git_commit`.

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
