"""Export of a sentence transformer to ONNX: model, pooling and normalisation in one graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from shelfmark.core.arrays import Floats
from shelfmark.embeddings.pretrained.export import INPUTS, export_module

if TYPE_CHECKING:
    import onnx
    from sentence_transformers import SentenceTransformer

OUTPUT = "sentence_embedding"
LEAST_COSINE = 0.995  # of a text's vectors, by torch and by the exported model


class _Normalised(torch.nn.Module):  # type: ignore[misc]
    """All modules of a sentence transformer, and unit length whatever the last of them is."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Return the vectors of a batch, of shape (texts, size)."""
        features = self.model(dict(zip(INPUTS, (input_ids, attention_mask), strict=True)))
        return torch.nn.functional.normalize(features[OUTPUT].float(), dim=-1)


def export(model: SentenceTransformer) -> onnx.ModelProto:
    """Return a model as an ONNX graph in fp32, from tokens to vectors of unit length.

    Raises:
        ShelfmarkError: it has parts that cannot be exported.
    """
    return export_module(_Normalised(model), model.tokenizer, OUTPUT)


def encode_with_torch(model: SentenceTransformer, texts: Sequence[str]) -> Floats:
    """Return the vectors of texts by torch, float32 of shape (texts, size)."""
    vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, np.float32)
