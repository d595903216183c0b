"""A second, tiny family of models: it counts the words of each class, and explains by them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from pydantic import Field

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.config.models import ModelConfig
from shelfmark.config.schema import Config
from shelfmark.core.arrays import Floats
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.core.npy import ArraySpec
from shelfmark.data.labels import learn_targets
from shelfmark.data.splits import PaperGroups
from shelfmark.models.card import ModelCard
from shelfmark.models.protocol import Family, Fitted, ReadingCost, RoundCallback, WordWeights

FILE = "keywords.json"
WORD = re.compile(r"\w\w+")


class KeywordConfig(ModelConfig):
    kind: Literal["keywords"] = "keywords"
    words: int = Field(ge=1)


class KeywordClassifier:
    """Each word of a class adds 1 to its margin; it has no vocabulary and no cross-lists."""

    vocabulary = None
    cost = ReadingCost(text=100, character=0.1)

    def __init__(self, words: dict[str, list[str]]) -> None:
        self._words = words
        self.classes = tuple(words)

    def probabilities(self, texts: Sequence[str]) -> tuple[Floats, None]:
        margins = np.array([[self._margin(text, x) for x in self.classes] for text in texts])
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), None

    def explain(self, text: str, category: str) -> WordWeights:
        hits = {word: 1.0 for word in self._tokens(text) if word in self._words[category]}
        return WordWeights(category, float(len(hits)), 0.0, hits)

    def places(self, text: str, words: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
        matches = list(WORD.finditer(text.lower()))
        return {word: [match.span() for match in matches if match[0] == word] for word in words}

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        (folder / FILE).write_bytes(orjson.dumps(self._words))
        return {}

    def _tokens(self, text: str) -> set[str]:
        return set(WORD.findall(text.lower()))

    def _margin(self, text: str, category: str) -> int:
        return len(self._tokens(text) & set(self._words[category]))


class KeywordFamily(Family):
    kind = "keywords"
    description = "Keywords"
    libraries = ("numpy",)
    files = (FILE,)

    def fit(
        self,
        config: Config,
        train: PaperGroups,
        validation: PaperGroups,
        callback: RoundCallback,
        checkpoint: Checkpoint | None = None,
        engine: Any = None,
    ) -> Fitted:
        assert isinstance(config.model, KeywordConfig)
        papers = train.read()
        targets = learn_targets(papers, config.data, None)
        counts: dict[str, Counter[str]] = {label: Counter() for label in targets.classes}
        for text, label in zip(
            papers["text"].to_pylist(), papers["label"].to_pylist(), strict=True
        ):
            counts[label].update(set(WORD.findall(text.lower())))
        total = sum(counts.values(), Counter[str]())
        words = {
            label: sorted(own, key=lambda word: (total[word] - 2 * own[word], word))
            for label, own in counts.items()
        }  # fmt: skip
        best = {label: ranked[: config.model.words] for label, ranked in words.items()}
        callback(0, {"train": 1.0, "validation": 1.0})
        return Fitted(KeywordClassifier(best), targets, {"words": config.model.words})

    def load(
        self, files: DigestedFiles, card: ModelCard, threads: int | None = None
    ) -> KeywordClassifier:
        words = orjson.loads(files.content(FILE))
        assert list(words) == card.labels
        return KeywordClassifier(words)


FAMILY = KeywordFamily()
