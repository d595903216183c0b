"""Export of a sentence transformer to ONNX: model, pooling and normalisation in one graph."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from shelfmark.core.arrays import Floats

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "sentence_embedding"
LEAST_COSINE = 0.995  # of a text's vectors, by torch and by the exported model


class _Normalised(torch.nn.Module):  # type: ignore[misc]
    """All modules of a sentence transformer, and unit length whatever the last of them is."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Return the vectors of a batch, of shape (texts, size)."""
        features = self.model(dict(zip(INPUTS, (input_ids, attention_mask), strict=True)))
        return torch.nn.functional.normalize(features["sentence_embedding"].float(), dim=-1)


def export(model: SentenceTransformer, folder: Path) -> None:
    """Write model.onnx in fp32 and tokenizer.json into a folder.

    Raises:
        ShelfmarkError: the model has parts that cannot be exported.
    """
    on_cpu = copy.deepcopy(model).to("cpu").float().eval()
    example = on_cpu.tokenizer(["one text", "another text of more words"], padding=True,
                               return_tensors="pt")  # fmt: skip
    axes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        torch.onnx.export(
            _Normalised(on_cpu),
            tuple(example[name] for name in INPUTS),
            folder / MODEL,
            input_names=list(INPUTS), output_names=[OUTPUT],
            dynamic_shapes=dict.fromkeys(INPUTS, axes),
            dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
    _write_tokenizer(model, folder / TOKENIZER)


def _write_tokenizer(model: SentenceTransformer, path: Path) -> None:
    """Write the tokenizer with the model's own limit of tokens, and padding to the longest text."""
    tokenizer = copy.deepcopy(model.tokenizer.backend_tokenizer)
    tokenizer.enable_truncation(model.max_seq_length)
    tokenizer.enable_padding(
        pad_id=model.tokenizer.pad_token_id, pad_token=model.tokenizer.pad_token
    )
    path.write_text(tokenizer.to_str(), encoding="utf-8")


def encode_with_torch(model: SentenceTransformer, texts: Sequence[str]) -> Floats:
    """Return the vectors of texts by torch, float32 of shape (texts, size)."""
    vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, np.float32)


def least_cosine(one: Floats, other: Floats) -> float:
    """Return the smallest cosine between the rows of two arrays of unit rows."""
    return float((one * other).sum(axis=1).min())
