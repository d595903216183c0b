"""A transformer's scores of texts: linear in the mean of the rows of their tokens."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from shelfmark.config.models import MOST_TOKENS
from shelfmark.core import checks
from shelfmark.core.arrays import Array, Floats, Ints
from shelfmark.core.checks import State
from shelfmark.core.structure import Blob, Structured
from shelfmark.embeddings.onnx import MODEL, TOKENIZER
from shelfmark.models.card import MOST_CLASSES
from shelfmark.models.protocol import ReadingCost

if TYPE_CHECKING:
    from shelfmark.embeddings.onnx.text_graph import Tokens

MOST_SIZE = 1 << 14  # numbers of a row
LEAST_TOKENS = 8
WORD = re.compile(r"\b\w\w+\b")  # as scikit-learn's TfidfVectorizer has it
CHARACTERS_A_TOKEN = 4  # of English
WORDS_A_TOKEN = 0.4  # different ones that may decide, of an abstract
TEXT = 500.0  # microseconds, for a text of no character


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        name: in small letters.
        start: the place of its first character.
        end: the place after its last one.
        tokens: the numbers of its pieces.
    """

    name: str
    start: int
    end: int
    tokens: Ints


class NetworkScores(Structured):
    """The scores of the classes, then those of the listed categories.

    A score is linear in the mean of the rows that the graph gives for the tokens of a text.

    Args:
        model: an ONNX file, whose graph gives a row for each token.
        tokenizer: a `tokenizer.json`.
        max_tokens: of a text that are read.
        weights: float32 of shape (size of a row, scores).
        intercept: float32 of shape (scores,).
        threads: how many texts are read at a time, None for one a core.
    """

    STATE: ClassVar[State] = {
        "model": checks.instance(Blob),
        "tokenizer": checks.instance(Blob),
        "max_tokens": checks.integer(LEAST_TOKENS, MOST_TOKENS),
        "weights": checks.array(np.float32, 2),
        "intercept": checks.array(np.float32, 1),
    }

    def __init__(
        self,
        model: bytes,
        tokenizer: bytes,
        max_tokens: int,
        weights: Floats,
        intercept: Floats,
        threads: int | None = None,
    ) -> None:
        self.model = Blob(MODEL, model)
        self.tokenizer = Blob(TOKENIZER, tokenizer)
        self.max_tokens = max_tokens
        self.weights = weights
        self.intercept = intercept
        self._threads = threads
        self.check_structure()

    def check_structure(self) -> None:
        """Open the graph, and check that the linear layer reads its rows.

        Raises:
            ValueError: it does not.
            ShelfmarkError: the graph cannot be opened.
        """
        # Imported here: the boosted family knows this class, and runs without ONNX Runtime.
        from shelfmark.embeddings.onnx.text_graph import TextGraph

        names = self.model.name, self.tokenizer.name
        if names != (MODEL, TOKENIZER):
            raise ValueError(f"the files should be {MODEL} and {TOKENIZER}")
        checks.require_range("scores", [len(self.intercept)], 2, 2 * MOST_CLASSES)
        self._graph = TextGraph(
            self.model.content, self.tokenizer.content, self.max_tokens, pooled=False, threads=1
        )
        checks.require_range("size", [self._graph.size], 1, MOST_SIZE)
        checks.require_shape("weights", self.weights, (self._graph.size, len(self.intercept)))
        self.read_by(getattr(self, "_threads", None))

    def read_by(self, threads: int | None) -> None:
        """Set how many texts are read at a time, None for one a core."""
        self._threads = threads
        self._graph.set_threads(threads)

    @property
    def columns(self) -> int:
        """The number of scores."""
        return len(self.intercept)

    def scores(self, texts: Sequence[str]) -> Floats:
        """Return the scores of texts, float32 of shape (texts, columns)."""
        return self.scores_of(self.mean_rows(texts))

    def mean_rows(self, texts: Sequence[str]) -> Floats:
        """Return the mean of the rows of each text, float32 of shape (texts, size)."""
        means = np.empty((len(texts), self._graph.size), np.float32)
        each = self._graph.map_items(self._mean_of, texts)
        for row, mean in zip(means, each, strict=True):
            row[:] = mean
        return means

    def scores_of(self, means: Floats) -> Floats:
        """Return the scores of mean rows, float32 of shape (texts, columns)."""
        return np.asarray(means @ self.weights + self.intercept, np.float32)

    def weigh_words(self, text: str, slopes: Floats) -> dict[str, float]:
        """Return what a weighted sum of the scores loses without each word of a text.

        The network is run once for each word that may decide, on the text without all of that
        word's places. Source: Zeiler and Fergus 2014, arXiv:1311.2901, and Li et al. 2016,
        arXiv:1612.08220. A gradient would cost one run, but the graph has none; and the parts that
        the tokens add to the mean are not those of their words, for each row knows the whole text.

        Args:
            text: as `scores` reads it.
            slopes: the weight of each score, shape (columns,).
        """
        tokens = self._graph.tokenize(text)
        kept = np.ones(len(tokens.ids), np.bool_)
        without: dict[str, Array] = defaultdict(kept.copy)
        for word in _words(text, tokens):
            if word.name not in ENGLISH_STOP_WORDS:
                without[word.name][word.tokens] = False
        layer = self.weights @ slopes
        whole = self._graph.mean_row(tokens.ids) @ layer
        shorter = [tokens.ids[some] for some in without.values()]
        means = self._graph.map_items(self._graph.mean_row, shorter)
        losses = (float(whole - mean @ layer) for mean in means)
        return dict(zip(without, losses, strict=True))

    def find_places(self, text: str, words: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
        """Return where each word stands in what is read of a text."""
        places: dict[str, list[tuple[int, int]]] = {word: [] for word in words}
        for word in _words(text, self._graph.tokenize(text)):
            if word.name in places:
                places[word.name].append((word.start, word.end))
        return places

    def measure_cost(self) -> ReadingCost:
        """Return about what a text costs; for an explanation the network is run for each word."""
        ids = np.zeros(self.max_tokens, np.int64)
        started = time.perf_counter()
        self._graph.run(ids)
        token = (time.perf_counter() - started) * 1e6 / self.max_tokens
        character = token / CHARACTERS_A_TOKEN
        explained = character * WORDS_A_TOKEN * self.max_tokens
        return ReadingCost(TEXT, character, self.max_tokens * CHARACTERS_A_TOKEN, TEXT, explained)

    def _mean_of(self, text: str) -> Floats:
        return self._graph.mean_row(self._graph.tokenize(text).ids)


def _words(text: str, tokens: Tokens) -> Iterator[Word]:
    """Yield the words of what is read of a text, and which tokens are pieces of each.

    The words are not those of the tokenizer, to some of which signs and blanks belong.
    """
    starts, ends = np.array(tokens.places, np.int64).reshape(-1, 2).T
    for match in WORD.finditer(text):
        pieces = np.flatnonzero((starts < match.end()) & (ends > match.start()))
        if len(pieces):
            yield Word(match[0].lower(), *match.span(), pieces)
