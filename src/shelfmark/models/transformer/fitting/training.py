"""The training of a network by the trainer of transformers, resumed from its own checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback, TrainingArguments

from shelfmark.config.models import NetworkConfig
from shelfmark.core import console
from shelfmark.core.arrays import Array, Floats
from shelfmark.embeddings.pretrained.training import (
    BestModelTrainer,
    EvaluatedMetric,
    Evaluations,
    best_metric,
    choose_device,
    common_arguments,
    last_checkpoint,
)
from shelfmark.embeddings.protocol import EpochCallback
from shelfmark.models.transformer.fitting.module import Network
from shelfmark.models.transformer.fitting.papers import LabelledPapers
from shelfmark.models.transformer.fitting.task import NetworkTask

LOG_LOSS = EvaluatedMetric("eval_loss", "log loss")  # of the classes


Example = dict[str, Any]  # of one paper: its tokens or its vector, its class, its cross-lists


class PaperDataset(torch.utils.data.Dataset):  # type: ignore[misc]
    """Papers as examples of a training.

    Args:
        papers: with their labels.
        key: what the network reads, `input_ids` or `vectors`.
        values: of each paper, under that key.
    """

    def __init__(self, papers: LabelledPapers, key: str, values: Sequence[Array] | Floats) -> None:
        self._papers = papers
        self._key = key
        self._values = values

    def __len__(self) -> int:
        return len(self._papers)

    def __getitem__(self, number: int) -> Example:
        return {
            self._key: self._values[number],
            "target": self._papers.targets[number],
            "membership": self._papers.membership[number].toarray()[0],
        }


class TokenDataset(PaperDataset):
    """Papers as tokens, for a training that tunes the encoder.

    Args:
        papers: with their labels.
        tokenizer: of transformers.
        max_tokens: of a text that are read.

    Attributes:
        cut: number of texts that are longer.
    """

    def __init__(self, papers: LabelledPapers, tokenizer: Any, max_tokens: int) -> None:
        backend = tokenizer.backend_tokenizer
        backend.enable_truncation(max_tokens)
        backend.no_padding()
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in papers.texts]
        encodings = backend.encode_batch(clean)
        self.cut = sum(bool(one.overflowing) for one in encodings)
        super().__init__(papers, "input_ids", [np.array(one.ids, np.int32) for one in encodings])


class VectorDataset(PaperDataset):
    """Papers as the means of their rows, for a training of the linear layer alone.

    Args:
        papers: with their labels.
        vectors: float32 of shape (papers, size).
    """

    def __init__(self, papers: LabelledPapers, vectors: Floats) -> None:
        super().__init__(papers, "vectors", vectors)


class Collator:
    """Makes batches of examples.

    Args:
        padding: the token behind the end of a text.
    """

    def __init__(self, padding: int) -> None:
        self._padding = padding

    def __call__(self, examples: list[Example]) -> dict[str, torch.Tensor]:
        """Return a batch: labels, and vectors or tokens that are padded to the longest text."""
        labels = {
            "targets": torch.tensor([one["target"] for one in examples]),
            "membership": _stack(examples, "membership"),
        }
        if "vectors" in examples[0]:
            return labels | {"vectors": _stack(examples, "vectors")}
        own = [one["input_ids"] for one in examples]
        shape = len(own), max(1, *map(len, own))
        ids, mask = np.full(shape, self._padding, np.int64), np.zeros(shape, np.int64)
        for row, tokens in enumerate(own):
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        tokens = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return labels | tokens


def _stack(examples: list[Example], key: str) -> torch.Tensor:
    return torch.from_numpy(np.stack([one[key] for one in examples]).astype(np.float32))


def train_network(
    network: Network,
    train: PaperDataset,
    stopping: PaperDataset,
    task: NetworkTask,
    padding: int,
    folder: Path,
    callback: EpochCallback,
    more: TrainerCallback | None = None,
) -> float:
    """Train a network in place, and leave it with the weights of the best evaluation.

    Args:
        network: moved to the GPU where there is one.
        train: papers to learn from.
        stopping: papers that an evaluation reads, of the same kind.
        task: of the network.
        padding: the token behind the end of a text.
        folder: of the checkpoints; a complete one of a killed training is resumed.
        callback: called after each epoch.
        more: a further callback of the trainer, such as a profiler.

    Returns:
        The log loss of the best evaluation.

    Raises:
        ShelfmarkError: the loss is not finite.
    """
    config = task.config
    trainer = BestModelTrainer(
        model=network,
        args=_arguments(config, task.seed, folder),
        train_dataset=train,
        eval_dataset=stopping,
        data_collator=Collator(padding),
        optimizers=(_optimizer(network, config), None),
    )
    trainer.remove_callback(PrinterCallback)
    with console.progress("training", _steps(train, config)) as bar:
        trainer.add_callback(
            Evaluations(
                config.epochs, config.evaluations, LOG_LOSS, task.section, callback, bar, task.level
            )
        )
        if config.early_stopping is not None:
            trainer.add_callback(EarlyStoppingCallback(config.early_stopping))
        if more is not None:
            trainer.add_callback(more)
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return best_metric(trainer)


def _steps(train: PaperDataset, config: NetworkConfig) -> int:
    return config.epochs * -(-len(train) // config.batch)


def _arguments(config: NetworkConfig, seed: int, folder: Path) -> TrainingArguments:
    device = choose_device()
    given = common_arguments(folder, seed, device)
    if config.mixed_precision is not None:
        given["bf16"] = config.mixed_precision and (given["bf16"] or device == "cpu")
        given["fp16"] = config.mixed_precision and given["fp16"]
    return TrainingArguments(
        **given,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch,
        per_device_eval_batch_size=config.batch,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,  # below 1: a share of all steps
        metric_for_best_model=LOG_LOSS.key,
        greater_is_better=False,
        label_names=["targets"],
        remove_unused_columns=False,
    )


def _optimizer(network: Network, config: NetworkConfig) -> torch.optim.Optimizer:
    """Return AdamW, with a step of its own for the linear layer; no vector decays."""
    groups = []
    for module, rate in (
        (network.encoder, config.learning_rate),
        (network.head, config.head_learning_rate),
    ):
        own = [one for one in module.parameters() if one.requires_grad]
        for decay, some in (
            (config.weight_decay, [one for one in own if one.ndim > 1]),
            (0.0, [one for one in own if one.ndim <= 1]),
        ):
            if some:
                groups.append({"params": some, "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups)
