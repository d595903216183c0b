"""A sentence encoder that ONNX Runtime runs on the CPU, with its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from shelfmark.core.arrays import Floats
from shelfmark.embeddings.onnx import MODEL, TOKENIZER
from shelfmark.embeddings.onnx.text_graph import TextGraph

if TYPE_CHECKING:
    from shelfmark.core.npy import ArraySpec

Pooling = Literal["mean", "cls", "none"]


class OnnxEncoder:
    """Encodes each text by itself, as `TextGraph` runs it.

    Args:
        model: the content of an ONNX file.
        tokenizer: the content of a `tokenizer.json`.
        max_tokens: of a text that are read, with those that mark its start and end.
        pooling: how the rows of tokens become one: their mean, the first, or none where the graph
            does it.
        threads: how many texts are encoded at a time, None for one a core.

    Raises:
        ShelfmarkError: as `TextGraph`, or the model does not fit the pooling.
    """

    def __init__(
        self,
        model: bytes | memoryview,
        tokenizer: bytes | memoryview,
        max_tokens: int,
        pooling: Pooling = "none",
        threads: int | None = None,
    ) -> None:
        self._model, self._json = model, tokenizer
        self._pooling = pooling
        self._graph = TextGraph(model, tokenizer, max_tokens, pooling == "none", threads)

    @property
    def size(self) -> int:
        """The numbers of a vector."""
        return self._graph.size

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, float32 of shape (texts, size).

        A row has unit length; that of a text without a token that the model knows is zero. Of a
        long text, the first `max_tokens` tokens count.
        """
        vectors = np.zeros((len(texts), self.size), np.float32)
        each = self._graph.map_items(self._encode_text, texts)
        for row, vector in zip(vectors, each, strict=True):
            row[:] = vector
        return vectors

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write the model and the tokenizer; no file is an array."""
        (folder / MODEL).write_bytes(self._model)
        (folder / TOKENIZER).write_bytes(self._json)
        return {}

    def _encode_text(self, text: str) -> Floats | float:
        """Return the vector of a text, 0 for a text without known tokens."""
        tokens = self._graph.tokenize(text)
        if not tokens.own.any():
            return 0.0
        vector = self._pool(self._graph.run(tokens.ids))
        length = float(np.linalg.norm(vector))
        return vector / np.float32(length) if np.isfinite(length) and length > 0 else 0.0

    def _pool(self, rows: Floats) -> Floats:
        if self._pooling == "none":
            return rows
        return rows[0] if self._pooling == "cls" else np.asarray(rows.mean(axis=0), np.float32)
