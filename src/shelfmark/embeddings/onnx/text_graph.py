"""A graph and its tokenizer, which ONNX Runtime runs on the CPU, a text at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.embeddings.onnx import MODEL, TOKENIZER
from shelfmark.embeddings.onnx.checks import GraphForm, parse_model, read_form
from shelfmark.errors import ShelfmarkError, one_line

# A text is cut to as many before it is tokenized, so that the time depends on what is read of it.
CHARACTERS_A_TOKEN = 64
# Fused, the sum and the normalisation of a layer take five times as long as one after the other.
SLOW_FUSIONS = ["SkipLayerNormFusion"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Tokens(NamedTuple):
    """The tokens that are read of a text.

    Attributes:
        ids: int64 of shape (tokens,).
        words: the number of the word that each token is a piece of; None of one that marks the
            start or the end.
        places: from which character to before which each stands.
        own: whether each is a piece of the text that the tokenizer knows, shape (tokens,).
    """

    ids: Ints
    words: list[int | None]
    places: list[tuple[int, int]]
    own: Array


class TextGraph:
    """Runs a graph on the tokens of each text by itself.

    The result for a text depends on no other text, nor on the threads. Dynamic quantisation has one
    scale for all that is run at once, so in a batch, a vector would depend on its neighbours
    (cosine .984 at worst); and on a CPU, batches of abstracts are not faster.

    Args:
        model: the content of an ONNX file.
        tokenizer: the content of a `tokenizer.json`.
        max_tokens: of a text that are read, with those that mark its start and end.
        pooled: whether the graph gives one row for each text, else one for each token.
        threads: how many texts are run at a time, None for one a core.

    Attributes:
        form: what the graph takes and gives.
        size: the numbers of a row.

    Raises:
        ShelfmarkError: a file is damaged, of another kind, or not opened because it names files or
            operators outside; or tokenizer and model do not fit together.
    """

    def __init__(
        self,
        model: bytes | bytearray | memoryview,
        tokenizer: bytes | bytearray | memoryview,
        max_tokens: int,
        pooled: bool,
        threads: int | None = None,
    ) -> None:
        self.form = _read_form(model, pooled)
        self.set_threads(threads)
        self._tokenizer = _read_tokenizer(tokenizer, max_tokens)
        self._most_characters = max_tokens * CHARACTERS_A_TOKEN
        self._unknown = self._tokenizer.token_to_id(
            getattr(self._tokenizer.model, "unk_token", None) or ""
        )
        self._session = _open_session(model)
        self.size = self._probe(max_tokens)

    def set_threads(self, threads: int | None) -> None:
        """Set how many texts are run at a time, None for one a core."""
        self._threads = threads or os.cpu_count() or 1

    def tokenize(self, text: str) -> Tokens:
        """Return the tokens of a text, of a long one the first `max_tokens`."""
        # The tokenizer takes no lone surrogates.
        clean = text[: self._most_characters].encode("utf-8", "replace").decode("utf-8")
        encoding = self._tokenizer.encode(clean)
        ids: Ints = np.array(encoding.ids, np.int64)
        own = np.array(encoding.special_tokens_mask) == 0
        if self._unknown is not None:
            own &= ids != self._unknown
        return Tokens(ids, encoding.word_ids, encoding.offsets, own)

    def run(self, ids: Ints) -> Floats:
        """Return the rows of the tokens of one text, shape (tokens, size); or its row, (size,)."""
        one = ids[None, :]
        values: dict[str, Array] = {
            "input_ids": one,
            "attention_mask": np.ones_like(one),
            "token_type_ids": np.zeros_like(one),
        }
        fed = {name: values[name] for name in self.form.inputs}
        rows: Any = self._session.run([self.form.output], fed)[0][0]
        return np.asarray(rows, np.float32)

    def mean_row(self, ids: Ints) -> Floats:
        """Return the mean of the rows of the tokens of one text, shape (size,).

        A tokenizer that marks no start and no end has no token for an empty text: zeros.
        """
        if not len(ids):
            return np.zeros(self.size, np.float32)
        return np.asarray(self.run(ids).mean(axis=0), np.float32)

    def map_items(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[Result]:
        """Yield the result of a function for each item, such as a text, several at a time."""
        if self._threads == 1 or len(items) < 2:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(function, items)

    def _probe(self, max_tokens: int) -> int:
        """Return the size of a row, after a run with as many tokens as ever and the last of all.

        Raises:
            ShelfmarkError: the model does not take them.
        """
        words = self._tokenizer.get_vocab_size(with_added_tokens=True)
        try:
            rows = self.run(np.full(max_tokens, words - 1, np.int64))
        except Exception as error:  # of the runtime, whose types are not public
            raise ShelfmarkError(
                f"{MODEL} does not take {max_tokens} tokens of the {words:,} that {TOKENIZER} "
                f"knows ({one_line(error, 120)})"
            ) from error
        shape = rows.shape if self.form.pooled else rows.shape[1:]
        rows_fit = self.form.pooled or len(rows) == max_tokens
        if len(shape) != 1 or not rows_fit or not np.isfinite(rows).all():
            raise ShelfmarkError(f"{MODEL} gives no vectors: shape {rows.shape}")
        return int(shape[0])


def _read_form(model: bytes | bytearray | memoryview, pooled: bool) -> GraphForm:
    """Return the form of a model.

    Raises:
        ShelfmarkError: it is not opened, or gives rows of something else.
    """
    try:
        form = read_form(parse_model(model))
    except ShelfmarkError as error:
        raise ShelfmarkError(f"{MODEL}: {error}") from error
    if form.pooled != pooled:
        given, wanted = ("texts", "tokens") if form.pooled else ("tokens", "texts")
        raise ShelfmarkError(
            f"{MODEL} gives the vectors of {given}, not of {wanted}: the pooling is wrong"
        )
    return form


def _read_tokenizer(content: bytes | bytearray | memoryview, max_tokens: int) -> Tokenizer:
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


def _open_session(model: bytes | bytearray | memoryview) -> onnxruntime.InferenceSession:
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
