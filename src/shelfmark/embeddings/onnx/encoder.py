"""A sentence encoder that ONNX Runtime runs on the CPU, with its tokenizer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.embeddings.onnx.checks import GraphForm, parse_model, read_form
from shelfmark.errors import ShelfmarkError, one_line

if TYPE_CHECKING:
    from shelfmark.core.npy import ArraySpec

Pooling = Literal["mean", "cls", "none"]
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
# A text is cut to as many before it is tokenized, so that the time depends on what is read of it.
CHARACTERS_A_TOKEN = 64
# Fused, the sum and the normalisation of a layer take five times as long as one after the other.
SLOW_FUSIONS = ["SkipLayerNormFusion"]


class OnnxEncoder:
    """Encodes each text by itself: its vector depends on no other text, nor on the threads.

    Dynamic quantisation has one scale for all that is encoded at once, so in a batch, a vector
    would depend on its neighbours (cosine .984 at worst); and on a CPU, batches of abstracts are
    not faster.

    Args:
        model: the content of an ONNX file.
        tokenizer: the content of a `tokenizer.json`.
        max_tokens: of a text that are read, with those that mark its start and end.
        pooling: how the rows of tokens become one: their mean, the first, or none where the graph
            does it.
        threads: how many texts are encoded at a time, None for one a core.

    Raises:
        ShelfmarkError: a file is damaged, of another kind, or not opened because it names files or
            operators outside; or tokenizer and model do not fit together.
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
        self._pooling, self._threads = pooling, threads or os.cpu_count() or 1
        self._form = _read_form(model, pooling)
        self._tokenizer = _read_tokenizer(tokenizer, max_tokens)
        self._most_characters = max_tokens * CHARACTERS_A_TOKEN
        self._unknown = self._tokenizer.token_to_id(
            getattr(self._tokenizer.model, "unk_token", None) or ""
        )
        self._session = _open_session(model)
        self._size = self._probe(max_tokens)

    @property
    def size(self) -> int:
        """The numbers of a vector."""
        return self._size

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, float32 of shape (texts, size).

        A row has unit length; that of a text without a token that the model knows is zero. Of a
        long text, the first `max_tokens` tokens count.
        """
        vectors = np.zeros((len(texts), self._size), np.float32)
        for row, vector in zip(vectors, self._encode_each(texts), strict=True):
            row[:] = vector
        return vectors

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write the model and the tokenizer; no file is an array."""
        (folder / MODEL).write_bytes(self._model)
        (folder / TOKENIZER).write_bytes(self._json)
        return {}

    def _encode_each(self, texts: Sequence[str]) -> Iterable[Floats | float]:
        if self._threads == 1 or len(texts) < 2:
            yield from map(self._encode_text, texts)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(self._encode_text, texts)

    def _encode_text(self, text: str) -> Floats | float:
        """Return the vector of a text, 0 for a text without known tokens."""
        # The tokenizer takes no lone surrogates.
        clean = text[: self._most_characters].encode("utf-8", "replace").decode("utf-8")
        encoding = self._tokenizer.encode(clean)
        ids: Ints = np.array(encoding.ids, np.int64)
        own = np.array(encoding.special_tokens_mask) == 0
        if self._unknown is not None:
            own &= ids != self._unknown
        if not own.any():
            return 0.0
        vector = self._run(ids)
        length = float(np.linalg.norm(vector))
        return vector / np.float32(length) if np.isfinite(length) and length > 0 else 0.0

    def _run(self, ids: Ints) -> Floats:
        """Return the vector of the tokens of one text, pooled."""
        one = ids[None, :]
        values: dict[str, Array] = {
            "input_ids": one,
            "attention_mask": np.ones_like(one),
            "token_type_ids": np.zeros_like(one),
        }
        fed = {name: values[name] for name in self._form.inputs}
        rows: Any = self._session.run([self._form.output], fed)[0][0]
        vector = rows.mean(axis=0) if self._pooling == "mean" else rows
        vector = rows[0] if self._pooling == "cls" else vector
        return np.asarray(vector, np.float32)

    def _probe(self, max_tokens: int) -> int:
        """Return the size of a vector, after a run with as many tokens as ever and the last of all.

        Raises:
            ShelfmarkError: the model does not take them.
        """
        words = self._tokenizer.get_vocab_size(with_added_tokens=True)
        try:
            vector = self._run(np.full(max_tokens, words - 1, np.int64))
        except Exception as error:  # of the runtime, whose types are not public
            raise ShelfmarkError(
                f"{MODEL} does not take {max_tokens} tokens of the {words:,} that {TOKENIZER} "
                f"knows ({one_line(error, 120)})"
            ) from error
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise ShelfmarkError(f"{MODEL} gives no vectors: shape {vector.shape}")
        return len(vector)


def _read_form(model: bytes | memoryview, pooling: Pooling) -> GraphForm:
    """Return the form of a model.

    Raises:
        ShelfmarkError: it is not opened, or does not fit the pooling.
    """
    try:
        form = read_form(parse_model(model))
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{MODEL}: {error}") from error
    if form.pooled != (pooling == "none"):
        rows = "texts" if form.pooled else "tokens"
        raise ShelfmarkError(f"{MODEL} gives the vectors of {rows}: pooling {pooling} is wrong")
    return form


def _read_tokenizer(content: bytes | memoryview, max_tokens: int) -> Tokenizer:
    """Return a tokenizer that cuts texts to a number of tokens, and pads none.

    Raises:
        ShelfmarkError: it is no tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_str(bytes(content).decode())
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
    except Exception as error:  # of a library whose exceptions have no type of their own
        raise ShelfmarkError(f"{TOKENIZER}: no tokenizer ({one_line(error, 120)})") from error
    return tokenizer


def _open_session(model: bytes | memoryview) -> onnxruntime.InferenceSession:
    """Return a session of a checked model, with one thread for each run.

    Raises:
        ShelfmarkError: the runtime does not take the model.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised
    options.add_session_config_entry("session.load_model_format", "ONNX")  # as it was checked
    try:
        return onnxruntime.InferenceSession(
            bytes(model),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=SLOW_FUSIONS,
            enable_fallback=False,  # it would print the error, and try the same again
        )
    except Exception as error:  # of the runtime, whose types are not public
        raise ShelfmarkError(f"{MODEL} cannot be run: {one_line(error, 160)}") from error
