"""Export of a sentence transformer to ONNX: model, pooling and normalisation in one graph."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from shelfmark.core.arrays import Floats
from shelfmark.embeddings.onnx.checks import parse_model
from shelfmark.errors import ShelfmarkError, one_line

if TYPE_CHECKING:
    import onnx
    from sentence_transformers import SentenceTransformer

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


def export(model: SentenceTransformer) -> onnx.ModelProto:
    """Return a model as an ONNX graph in fp32, from tokens to vectors of unit length.

    Raises:
        ShelfmarkError: it has parts that cannot be exported.
    """
    on_cpu = copy.deepcopy(model).to("cpu").float().eval()
    texts = ["one text", "another text of more words"]
    example = on_cpu.tokenizer(texts, padding=True, return_tensors="pt")
    # It warns that torchvision is missing. (The import of torch sets the levels of its loggers.)
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    axes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        target = Path(folder, "model.onnx")
        try:
            torch.onnx.export(
                _Normalised(on_cpu), tuple(example[name] for name in INPUTS), target,
                input_names=list(INPUTS), output_names=[OUTPUT],
                dynamic_shapes=dict.fromkeys(INPUTS, axes),
                dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
        except Exception as error:  # a foreign model may raise anything
            reason = one_line(error, 160)
            raise ShelfmarkError(f"the model cannot be exported to ONNX: {reason}") from error
        return parse_model(target.read_bytes())


def tokenizer_json(model: SentenceTransformer) -> bytes:
    """Return the content of the tokenizer.json of a model."""
    return str(model.tokenizer.backend_tokenizer.to_str()).encode()


def encode_with_torch(model: SentenceTransformer, texts: Sequence[str]) -> Floats:
    """Return the vectors of texts by torch, float32 of shape (texts, size)."""
    vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, np.float32)
