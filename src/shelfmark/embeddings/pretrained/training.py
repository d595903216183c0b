"""What trainings by the trainer of transformers share: arguments, evaluations, checkpoints."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from loguru import logger
from transformers import Trainer, TrainerCallback

from shelfmark.core import console
from shelfmark.core.checkpoint import FOLDER_MARK
from shelfmark.embeddings.protocol import EpochCallback
from shelfmark.errors import ShelfmarkError

NEVER = 10**9  # steps: `Evaluations` decides when to evaluate and to save
KEPT = 2  # checkpoints: the best and the last


def choose_device() -> str:
    """Return the device that a training uses: cuda where there is a GPU, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def common_arguments(folder: Path, seed: int, device: str) -> dict[str, Any]:
    """Return the arguments of the trainer that all trainings have.

    Args:
        folder: of its checkpoints.
        seed: of the order of the examples, and of dropout.
        device: cuda trains with mixed precision, in bfloat16 where it has that.
    """
    gpu = device == "cuda"
    bf16 = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return {
        "output_dir": str(folder),
        "eval_strategy": "steps", "eval_steps": NEVER,
        "save_strategy": "steps", "save_steps": NEVER, "save_total_limit": KEPT,
        "logging_strategy": "steps", "logging_steps": NEVER, "logging_nan_inf_filter": False,
        "load_best_model_at_end": True,
        "use_cpu": not gpu, "bf16": bf16, "fp16": gpu and not bf16,
        "dataloader_pin_memory": gpu,
        "seed": seed, "data_seed": seed,
        "report_to": "none", "disable_tqdm": True,
    }  # fmt: skip


def last_checkpoint(folder: Path) -> str | None:
    """Return the last checkpoint of a folder that was written to its end, None without one."""
    steps = sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1]))
    for path in steps:
        try:
            json.loads((path / FOLDER_MARK).read_bytes())
        except (OSError, ValueError):  # killed while it was written
            continue
        logger.info("fine-tuning: resumed from {}", path.name)
        return str(path)
    return None


class BestModelTrainer(Trainer):  # type: ignore[misc]
    """The trainer of transformers, which ends with the best model or an error."""

    def _load_best_model(self) -> None:
        """Load the best model, and fail if it cannot be: the library's own only logs that.

        The recorded path may be that of a folder which has moved since.
        """
        best = Path(self.state.best_model_checkpoint).name
        self._load_from_checkpoint(str(Path(self.args.output_dir, best)))


def best_metric(trainer: Trainer) -> float:
    """Return the metric of the best evaluation of a training.

    Raises:
        ShelfmarkError: no evaluation has measured it.
    """
    best = trainer.state.best_metric
    if best is None or not math.isfinite(best):
        raise ShelfmarkError("no evaluation of the fine-tuning has measured its metric")
    return float(best)


@dataclass(frozen=True)
class EvaluatedMetric:
    """The metric that chooses the best checkpoint.

    Args:
        key: under which an evaluation returns it.
        name: for people, and in the records of a training.
    """

    key: str
    name: str


class Evaluations(TrainerCallback):  # type: ignore[misc]
    """Evaluates and saves at even distances within an epoch and at its end; reports each epoch.

    Args:
        epochs: of the training.
        evaluations: of an epoch.
        metric: that chooses the best checkpoint.
        section: of the configuration, for errors.
        callback: called after each epoch.
        bar: advanced after each step.
        level: of the log lines.
    """

    def __init__(
        self,
        epochs: int,
        evaluations: int,
        metric: EvaluatedMetric,
        section: str,
        callback: EpochCallback,
        bar: console.Bar,
        level: str = "INFO",
    ) -> None:
        self._epochs = epochs
        self._evaluations = evaluations
        self._metric = metric
        self._section = section
        self._callback = callback
        self._bar = bar
        self._level = level
        self._losses: list[tuple[int, float]] = []  # of each part of the epoch: steps and mean
        self._logged = 0  # the step of the last log line
        self._epoch_ends = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start at the step of the resumed checkpoint."""
        self._logged = state.global_step
        self._bar.advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for an evaluation within the epoch where one is due."""
        self._bar.advance()
        steps, parts = state.max_steps // self._epochs, self._evaluations
        due = {steps * part // parts for part in range(1, parts)}
        wanted = state.global_step % steps in due - {0}
        # By itself the trainer evaluates after the last step, which is the end of an epoch too.
        control.should_log = control.should_evaluate = control.should_save = wanted

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for the evaluation at the end of the epoch."""
        self._epoch_ends = True
        control.should_log = control.should_evaluate = control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Keep the mean training loss since the last log line.

        Raises:
            ShelfmarkError: it is not finite.
        """
        if "loss" in logs:
            if not math.isfinite(logs["loss"]):
                raise ShelfmarkError(f"the loss is not finite: lower {self._section}.learning_rate")
            self._losses.append((state.global_step - self._logged, logs["loss"]))
            self._logged = state.global_step

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any
    ) -> None:
        """Log the evaluation; at the end of an epoch, report its losses."""
        score, place = metrics[self._metric.key], f"{state.global_step:,} of {state.max_steps:,}"
        name = self._metric.name
        logger.log(
            self._level, "step {}: loss {:.3f}, {} {:.3f}", place, self._losses[-1][1], name, score
        )
        if self._epoch_ends:
            self._epoch_ends = False
            steps = sum(count for count, _ in self._losses)
            train = sum(count * loss for count, loss in self._losses) / steps
            figures = {"train": train, "validation": metrics["eval_loss"]}
            # Where the loss chooses the best checkpoint, it is the metric.
            more = {} if self._metric.key == "eval_loss" else {name: score}
            self._callback(round(state.epoch) - 1, figures | more)
            self._losses = []
