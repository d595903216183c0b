"""A training from papers to an encoder: base, pairs, fine-tuning, export, parity."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from loguru import logger

from shelfmark.config.encoders import EncoderSettings, SentenceConfig
from shelfmark.embeddings.onnx.encoder import OnnxEncoder
from shelfmark.embeddings.onnx.quantize import quantise_model
from shelfmark.embeddings.pretrained.export import tokenizer_json
from shelfmark.embeddings.pretrained.training import choose_device
from shelfmark.embeddings.protocol import EpochCallback, FittedEncoder
from shelfmark.embeddings.sentence.base import load_base
from shelfmark.embeddings.sentence.evaluator import METRIC, choose_rows, make_evaluator
from shelfmark.embeddings.sentence.export import (
    LEAST_COSINE,
    encode_with_torch,
    export,
)
from shelfmark.embeddings.sentence.losses import LABELLED
from shelfmark.embeddings.sentence.pairs import Papers, make_pairs
from shelfmark.embeddings.sentence.training import Task, fine_tune
from shelfmark.errors import ShelfmarkError

PARITY_TEXTS = 100  # validation papers whose vectors the exported model must reproduce


class Fitting:
    """One training, whose parts are timed.

    Args:
        settings: of the training.
        config: its section of the encoder.
        folder: of the trainer's checkpoints.

    Attributes:
        model: trained in place.
        details: for the card.
        seconds: the time of each part.

    Raises:
        ShelfmarkError: the base cannot be opened, or has fewer numbers than `encoder.sizes`.
    """

    def __init__(self, settings: EncoderSettings, config: SentenceConfig, folder: Path) -> None:
        self._settings = settings
        self._config = config
        self._folder = folder
        torch.set_num_threads(config.n_jobs or os.cpu_count() or 1)
        torch.manual_seed(settings.seed)
        self.model = load_base(config.base, choose_device(), config.max_tokens)
        _check_sizes(config, self.model.get_embedding_dimension())
        self.details: dict[str, Any] = {
            "pooling": "none",  # the graph does it
            "max_tokens": self.model.max_seq_length,
            "device": self.model.device.type,
        }
        self.seconds: dict[str, float] = {}

    def fine_tune(self, train: pa.Table, validation: pa.Table, callback: EpochCallback) -> None:
        """Fine-tune the model; its metric before and after is among the details.

        Raises:
            ShelfmarkError: there are no pairs, or the training fails.
        """
        start = time.perf_counter()
        task = self._make_task(train, validation)
        self.details["pairs"] = {kind: len(pairs) for kind, pairs in task.train.items()}
        self.seconds["pairs"] = time.perf_counter() - start
        before = float(task.evaluator(self.model)[METRIC])
        logger.info("before fine-tuning: nDCG@10 {:.3f}", before)
        start = time.perf_counter()
        after = fine_tune(
            self.model, task, self._config, self._settings.seed, self._folder, callback
        )
        self.seconds["fine-tuning"] = time.perf_counter() - start
        self.details["ndcg@10"] = {"before": before, "after": after}
        if after < before:
            logger.warning("fine-tuning has lowered nDCG@10 from {:.3f} to {:.3f}", before, after)

    def _make_task(self, train: pa.Table, validation: pa.Table) -> Task:
        maths, seed = self._settings.data.maths, self._settings.seed
        shares, labelled = self._config.pairs.model_dump(), self._config.loss in LABELLED
        pairs = make_pairs(Papers.from_table(train, maths), shares, seed, labelled)
        if not pairs:
            raise ShelfmarkError(
                "the training papers give no pairs of encoder.pairs: raise a share, or take more "
                "papers"
            )
        papers = Papers.from_table(validation, maths)
        rows = choose_rows(papers, self._config, seed)
        asked = Papers.from_table(validation.take(rows[: self._config.queries]), maths)
        measured = make_pairs(asked, {"title_abstract": 1.0}, seed, labelled)
        return Task(
            train=pairs,
            validation=measured["title_abstract"],
            evaluator=make_evaluator(papers, rows, self._config),
        )

    def export(self, validation: pa.Table) -> OnnxEncoder:
        """Return the encoder that is served, whose vectors are compared with the trained model's.

        Raises:
            ShelfmarkError: the model cannot be exported, or its vectors differ.
        """
        start = time.perf_counter()
        papers = Papers.from_table(validation.slice(0, PARITY_TEXTS), self._settings.data.maths)
        texts = [papers.text(row) for row in range(len(papers.titles))]
        model = export(self.model)
        encoder = self._open(bytes(model.SerializeToString(deterministic=True)))
        self._compare("fp32", encoder, texts)
        if self._config.precision == "int8":
            encoder = self._open(quantise_model(model))
            self._compare("int8", encoder, texts)
        self.seconds["export"] = time.perf_counter() - start
        return encoder

    def _open(self, content: bytes) -> OnnxEncoder:
        most = self.model.max_seq_length
        return OnnxEncoder(
            content, tokenizer_json(self.model.tokenizer), most, "none", self._config.n_jobs
        )

    def _compare(self, precision: str, encoder: OnnxEncoder, texts: list[str]) -> None:
        """Note the cosines of the vectors by torch and by the exported model.

        Raises:
            ShelfmarkError: in fp32, a vector differs.
        """
        cosines = (encode_with_torch(self.model, texts) * encoder.encode(texts)).sum(axis=1)
        least, mean = float(cosines.min()), float(cosines.mean())
        self.details.setdefault("parity", {})[precision] = {"least": least, "mean": mean}
        logger.info("exported in {}: cosine to the trained model {:.4f}, at least {:.4f}",
                    precision, mean, least)  # fmt: skip
        if precision == "fp32" and least < LEAST_COSINE:
            raise ShelfmarkError(
                f"the exported model differs from the trained one: a cosine of {least:.4f}"
            )


def fit(
    settings: EncoderSettings,
    config: SentenceConfig,
    train: pa.Table,
    validation: pa.Table,
    callback: EpochCallback,
    folder: Path,
) -> FittedEncoder:
    """Fine-tune the base unless there are 0 epochs, and export it.

    Args:
        settings: of the training.
        config: its section of the encoder.
        train: papers that pairs are made from.
        validation: papers that the evaluator takes.
        callback: called after each epoch.
        folder: of the trainer's checkpoints.

    Raises:
        ShelfmarkError: as `SentenceFamily.fit`.
    """
    work = Fitting(settings, config, folder)
    if config.epochs:
        work.fine_tune(train, validation, callback)
    encoder = work.export(validation)
    return FittedEncoder(encoder, work.details, work.seconds)


def _check_sizes(config: SentenceConfig, size: int) -> None:
    if config.sizes and max(config.sizes) >= size:
        raise ShelfmarkError(
            f"encoder.sizes={config.sizes}: the vectors of encoder.base have {size:,} numbers; "
            "give smaller sizes"
        )
