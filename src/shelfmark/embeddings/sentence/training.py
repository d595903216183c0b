"""Fine-tuning by the trainer of sentence-transformers, resumed from its own checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers, MultiDatasetBatchSamplers
from transformers import PrinterCallback

from shelfmark.config.encoders import SentenceConfig
from shelfmark.core import console
from shelfmark.embeddings.pretrained.training import (
    BestModelTrainer,
    EvaluatedMetric,
    Evaluations,
    best_metric,
    common_arguments,
    last_checkpoint,
)
from shelfmark.embeddings.protocol import EpochCallback
from shelfmark.embeddings.sentence.evaluator import METRIC
from shelfmark.embeddings.sentence.losses import LABELLED, make_loss

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import (
        InformationRetrievalEvaluator,
    )

# A name that no evaluation returns would keep the last model without a word.
NDCG = EvaluatedMetric(f"eval_{METRIC}", "ndcg@10")


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
    with console.progress("fine-tuning") as bar:
        trainer.add_callback(
            Evaluations(config.epochs, config.evaluations, NDCG, "encoder", callback, bar)
        )
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return best_metric(trainer)


def _arguments(
    model: SentenceTransformer, config: SentenceConfig, seed: int, folder: Path
) -> SentenceTransformerTrainingArguments:
    labelled = config.loss in LABELLED
    return SentenceTransformerTrainingArguments(
        **common_arguments(folder, seed, model.device.type),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch,
        per_device_eval_batch_size=config.batch,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,  # below 1: a share of all steps
        # Of two equal texts in a batch, one would count as the other's negative.
        batch_sampler=BatchSamplers.BATCH_SAMPLER if labelled else BatchSamplers.NO_DUPLICATES,
        multi_dataset_batch_sampler=MultiDatasetBatchSamplers.PROPORTIONAL,
        metric_for_best_model=NDCG.key,
        greater_is_better=True,
    )


def _dataset(pairs: pa.Table) -> datasets.Dataset:
    return datasets.Dataset(datasets.table.InMemoryTable(pairs))


class _Trainer(BestModelTrainer, SentenceTransformerTrainer):  # type: ignore[misc]
    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Write no model card: it would look the base up on the hub."""
