"""Export of a trained network: its encoder as an ONNX graph, its linear layer as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from loguru import logger

from shelfmark.config.models import NetworkConfig
from shelfmark.core.arrays import Floats
from shelfmark.embeddings.onnx.quantize import quantise_model
from shelfmark.embeddings.onnx.text_graph import TextGraph
from shelfmark.embeddings.pretrained.export import export_module, tokenizer_json
from shelfmark.errors import ShelfmarkError
from shelfmark.models.transformer.fitting.bases import Base

OUTPUT = "token_embeddings"
LEAST_COSINE = 0.995  # of the mean rows of a text, by torch and by the exported graph in fp32


class _Rows(torch.nn.Module):  # type: ignore[misc]
    """The encoder alone, which returns the rows of the tokens."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Return the rows, of shape (texts, tokens, size)."""
        rows = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        return rows.last_hidden_state.float()


class ExportedGraph:
    """The graph of an encoder as it is served, and how near its rows are to PyTorch's.

    Args:
        base: the trained encoder, whose tokenizer is read.
        config: of the network.
        texts: on which both are compared.
        level: of the log lines.

    Attributes:
        content: of the ONNX file.
        tokenizer: the content of `tokenizer.json`.
        parity: the least and the mean cosine of the mean rows, by precision.

    Raises:
        ShelfmarkError: the encoder cannot be exported, or in fp32 its rows differ.
    """

    def __init__(self, base: Base, config: NetworkConfig, texts: Sequence[str], level: str) -> None:
        self._base = base
        self._most = config.max_tokens
        self._level = level
        self.tokenizer = tokenizer_json(base.tokenizer)
        self.parity: dict[str, dict[str, float]] = {}
        model = export_module(_Rows(base.encoder), base.tokenizer, OUTPUT)
        self.content = bytes(model.SerializeToString(deterministic=True))
        wanted = [self._mean_by_torch(text) for text in texts]
        self._compare("fp32", texts, wanted)
        if config.precision == "int8":
            self.content = quantise_model(model)
            self._compare("int8", texts, wanted)

    def open(self, threads: int | None) -> TextGraph:
        """Return the graph, opened."""
        return TextGraph(self.content, self.tokenizer, self._most, pooled=False, threads=threads)

    def mean_rows(self, texts: Sequence[str], threads: int | None = None) -> Floats:
        """Return the mean of the rows of each text, float32 of shape (texts, size)."""
        graph = self.open(threads)
        means = graph.map_items(lambda text: graph.mean_row(graph.tokenize(text).ids), texts)
        return np.stack([*means])

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _mean_by_torch(self, text: str) -> Floats:
        encoder = self._base.encoder.eval()
        device = next(encoder.parameters()).device
        ids = torch.from_numpy(self._graph_tokens(text))[None, :].to(device)
        rows = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        return np.asarray(rows[0].float().mean(dim=0).cpu().numpy())

    def _graph_tokens(self, text: str) -> Any:
        backend = self._base.tokenizer.backend_tokenizer
        backend.enable_truncation(self._most)
        backend.no_padding()
        return np.array(backend.encode(text).ids, np.int64)

    def _compare(self, precision: str, texts: Sequence[str], wanted: list[Floats]) -> None:
        given = self.mean_rows(texts)
        pairs = zip(given, wanted, strict=True)
        cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
        least, mean = min(cosines), float(np.mean(cosines))
        self.parity[precision] = {"least": least, "mean": mean}
        text = "exported in {}: cosine to the trained network {:.4f}, at least {:.4f}"
        logger.log(self._level, text, precision, mean, least)
        if precision == "fp32" and not least >= LEAST_COSINE:
            raise ShelfmarkError(
                f"the exported network differs from the trained one: a cosine of {least:.4f}"
            )
