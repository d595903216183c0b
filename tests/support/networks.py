"""A small network as it is served: the graph of a BERT with random weights, and a linear layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from shelfmark.embeddings.onnx.graph import build_graph
from shelfmark.models.transformer.network import NetworkScores
from tests.support.bert import (
    HEADS,
    SIZE,
    WORDS,
    end_at_tokens,
    small_weights,
    token_rows,
    write_tokenizer,
)

MOST = 16  # tokens of a text that are read


def graph_files(folder: Path, words: int = len(WORDS)) -> tuple[bytes, bytes]:
    """Return the content of the graph, which gives a row for each token, and of the tokenizer."""
    model = build_graph(small_weights(words=words), HEADS)
    end_at_tokens(model)
    write_tokenizer(folder / "tokenizer.json")
    return model.SerializeToString(), (folder / "tokenizer.json").read_bytes()


def linear_layer(columns: int) -> tuple[Any, Any]:
    """Return random weights and constants of a linear layer."""
    random = np.random.default_rng(3)
    weights = random.normal(size=(SIZE, columns)).astype(np.float32)
    return weights, random.normal(size=columns).astype(np.float32)


def small_network(folder: Path, columns: int = 3, threads: int | None = 1) -> NetworkScores:
    """Return a network with so many scores."""
    return NetworkScores(*graph_files(folder), MOST, *linear_layer(columns), threads)


def sums_in_numpy(ids: list[int], columns: int = 3) -> Any:
    """Return the scores of the tokens of a text, in float64."""
    weights, constants = linear_layer(columns)
    return token_rows(small_weights(), ids, HEADS).mean(axis=0) @ weights + constants


def tokens_of(words: str) -> list[int]:
    """Return the tokens of words that the tokenizer knows."""
    return [WORDS.index(word) for word in ["[CLS]", *words.split(), "[SEP]"]]
