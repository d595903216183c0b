"""Fine-tuning by the trainer of sentence-transformers, resumed from its own checkpoints."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa
import torch
from loguru import logger
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers, MultiDatasetBatchSamplers
from transformers import PrinterCallback, TrainerCallback

from shelfmark.config.encoders import SentenceConfig
from shelfmark.core import console
from shelfmark.core.checkpoint import FOLDER_MARK
from shelfmark.embeddings.protocol import EpochCallback
from shelfmark.embeddings.sentence.evaluator import METRIC
from shelfmark.embeddings.sentence.losses import LABELLED, make_loss
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import (
        InformationRetrievalEvaluator,
    )

NEVER = 10**9  # steps: `_Evaluations` decides when to evaluate and to save
KEPT = 2  # checkpoints: the best and the last


@dataclass(frozen=True)
class Task:
    """What a fine-tuning learns from and is measured by.

    Args:
        train: a table of pairs for each kind.
        validation: pairs whose loss is reported, of all kinds together.
        evaluator: of the metric that chooses the best checkpoint.
    """

    train: dict[str, pa.Table]
    validation: pa.Table
    evaluator: InformationRetrievalEvaluator


def fine_tune(
    model: SentenceTransformer,
    task: Task,
    config: SentenceConfig,
    seed: int,
    folder: Path,
    callback: EpochCallback,
) -> float:
    """Fine-tune a model in place, and leave it with the weights of the best evaluation.

    Args:
        model: on the device that it is trained on.
        task: pairs and evaluator.
        config: of the training.
        seed: of the order of the pairs, and of dropout.
        folder: of the checkpoints; a complete one of a killed training is resumed.
        callback: called after each epoch.

    Returns:
        nDCG@10 of the best evaluation.

    Raises:
        ShelfmarkError: the loss is not finite, or no evaluation has measured the metric.
    """
    trainer = _Trainer(
        model=model,
        args=_arguments(model, config, seed, folder),
        train_dataset={kind: _dataset(pairs) for kind, pairs in task.train.items()},
        eval_dataset=_dataset(task.validation),
        loss=make_loss(model, config),
        evaluator=task.evaluator,
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = _last_complete(folder)
    if checkpoint:
        logger.info("fine-tuning: resumed from {}", checkpoint.name)
    with console.progress("fine-tuning") as bar:
        trainer.add_callback(_Evaluations(config, callback, bar))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    best = trainer.state.best_metric
    if best is None or not math.isfinite(best):
        raise ShelfmarkError("no evaluation of the fine-tuning has measured its metric")
    return float(best)


def _arguments(
    model: SentenceTransformer, config: SentenceConfig, seed: int, folder: Path
) -> SentenceTransformerTrainingArguments:
    gpu = model.device.type == "cuda"
    bf16 = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    labelled = config.loss in LABELLED
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch,
        per_device_eval_batch_size=config.batch,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,  # below 1: a share of all steps
        # Of two equal texts in a batch, one would count as the other's negative.
        batch_sampler=BatchSamplers.BATCH_SAMPLER if labelled else BatchSamplers.NO_DUPLICATES,
        multi_dataset_batch_sampler=MultiDatasetBatchSamplers.PROPORTIONAL,
        eval_strategy="steps", eval_steps=NEVER,
        save_strategy="steps", save_steps=NEVER, save_total_limit=KEPT,
        logging_strategy="steps", logging_steps=NEVER, logging_nan_inf_filter=False,
        load_best_model_at_end=True,
        # A name that no evaluation returns would keep the last model without a word.
        metric_for_best_model=f"eval_{METRIC}", greater_is_better=True,
        use_cpu=not gpu, bf16=bf16, fp16=gpu and not bf16,
        dataloader_pin_memory=gpu,
        seed=seed, data_seed=seed,
        report_to="none", disable_tqdm=True,
    )  # fmt: skip


def _dataset(pairs: pa.Table) -> datasets.Dataset:
    return datasets.Dataset(datasets.table.InMemoryTable(pairs))


def _last_complete(folder: Path) -> Path | None:
    """Return the last checkpoint that was written to its end."""
    steps = sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1]))
    for path in steps:
        try:
            json.loads((path / FOLDER_MARK).read_bytes())
        except (OSError, ValueError):  # killed while it was written
            continue
        return path
    return None


class _Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Write no model card: it would look the base up on the hub."""

    def _load_best_model(self) -> None:
        """Load the best model, and fail if it cannot be: the library's own only logs that.

        The recorded path may be that of a folder which has moved since.
        """
        best = Path(self.state.best_model_checkpoint).name
        self._load_from_checkpoint(str(Path(self.args.output_dir, best)))


class _Evaluations(TrainerCallback):  # type: ignore[misc]
    """Evaluates and saves at even distances within an epoch and at its end; reports each epoch.

    Args:
        config: of the training.
        callback: called after each epoch.
        bar: advanced after each step.
    """

    def __init__(self, config: SentenceConfig, callback: EpochCallback, bar: console.Bar) -> None:
        self._config = config
        self._callback = callback
        self._bar = bar
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
        steps, parts = state.max_steps // self._config.epochs, self._config.evaluations
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
                raise ShelfmarkError("the loss is not finite: lower encoder.learning_rate")
            self._losses.append((state.global_step - self._logged, logs["loss"]))
            self._logged = state.global_step

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any
    ) -> None:
        """Log the evaluation; at the end of an epoch, report its losses."""
        score, place = metrics[f"eval_{METRIC}"], f"{state.global_step:,} of {state.max_steps:,}"
        logger.info("step {}: loss {:.3f}, nDCG@10 {:.3f}", place, self._losses[-1][1], score)
        if self._epoch_ends:
            self._epoch_ends = False
            steps = sum(count for count, _ in self._losses)
            train = sum(count * loss for count, loss in self._losses) / steps
            figures = {"train": train, "validation": metrics["eval_loss"], "ndcg@10": score}
            self._callback(round(state.epoch), figures)
            self._losses = []
