"""A fitted pipeline as a classifier: probabilities, explanations, vocabulary, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from shelfmark.core.arrays import Floats
from shelfmark.core.npy import ArraySpec
from shelfmark.models.boosted import explain
from shelfmark.models.boosted.decision import CalibratedClassifier
from shelfmark.models.boosted.pipeline import TextPipeline, save_pipeline
from shelfmark.models.calibration.softmax import softmax_rows
from shelfmark.models.protocol import ReadingCost, WordWeights
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

TOGETHER = 256  # texts whose features are made at a time: dense, they fit the cache


class TfidfVocabulary:
    """The terms of the text's TF-IDF; those of the title's are not counted.

    Args:
        vectorizer: of the text.
        knows: whether a word is a term by itself.
    """

    def __init__(self, vectorizer: FastTfidfVectorizer, knows: Callable[[str], bool]) -> None:
        self._vectorizer = vectorizer
        self._knows = knows

    def words(self, text: str) -> list[str]:
        """Return the tokens of a text that are no stop words, in their order."""
        vectorizer = self._vectorizer
        words: list[str] = vectorizer.build_tokenizer()(vectorizer.build_preprocessor()(text))
        if stop := vectorizer.get_stop_words():
            words = [word for word in words if word not in stop]
        return words

    def unknown_share(self, words: list[str]) -> float | None:
        """Return the share of words without a term; None without words or single-word terms."""
        if not words or self._vectorizer.ngram_range[0] != 1:
            return None
        return 1 - sum(map(self._knows, words)) / len(words)

    def frequent(self, count: int) -> list[str]:
        """Return the terms of the most training papers, those first."""
        vectorizer = self._vectorizer
        return vectorizer.term_names(np.argsort(vectorizer.idf_, kind="stable")[:count])


class BoostedClassifier:
    """A fitted pipeline from texts to probabilities.

    Args:
        pipeline: the steps `words`, `joined` and `decision`.
        classes: the labels, in the order of the probabilities' columns.
    """

    # Measured on abstracts with a model of five categories; those of 147 take twice as long.
    COST = ReadingCost(text=150, character=0.1, explanation=6000, explained_character=1.5)

    def __init__(self, pipeline: TextPipeline, classes: tuple[str, ...]) -> None:
        self.pipeline = pipeline
        self.classes = classes
        block = pipeline.network_
        self.cost = self.COST if block is None else self.COST + block.network.measure_cost()

    @property
    def decision(self) -> CalibratedClassifier:
        """The last step of the pipeline."""
        last: CalibratedClassifier = self.pipeline[-1]
        return last

    @property
    def _vectorizer(self) -> FastTfidfVectorizer:
        text: FastTfidfVectorizer = self.pipeline[0].transformer_list[0][1]
        return text

    @property
    def vocabulary(self) -> TfidfVocabulary:
        """The terms of the text."""
        return TfidfVocabulary(self._vectorizer, self.pipeline[0].knows)

    def probabilities(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        """Return the probabilities of the classes and of the listed categories.

        The shapes are (texts, classes) and (texts, listed categories); the second is None where no
        cross-lists are suggested.
        """
        parts = [self._probabilities(texts[begin : begin + TOGETHER])
                 for begin in range(0, max(len(texts), 1), TOGETHER)]  # fmt: skip
        if len(parts) == 1:
            return parts[0]
        classes, listed = zip(*parts, strict=True)
        return np.concatenate(classes), None if listed[0] is None else np.concatenate(listed)

    def _probabilities(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        features = self.pipeline.features_of(texts)
        classes = softmax_rows(self.pipeline.margins_of(features, texts))
        lists = self.decision.cross_lists
        if lists is None:
            return classes, None
        scores = features[:, lists.column : lists.column + len(lists.categories)]
        return classes, lists.probabilities(scores, classes)

    def explain(self, text: str, category: str) -> WordWeights | None:
        """Return what each word adds to the margin of a class, None if that is not finite.

        Raises:
            ValueError: there is no such class.
        """
        if category not in self.classes:
            raise ValueError(f"{category}: no such class")
        number = self.classes.index(category)
        weights = explain.weigh_words(self.pipeline, text, number, category)
        if (votes := self.pipeline.votes_) is not None:
            weights = votes.explain(weights, text, number)
        return weights if weights.is_finite() else None

    def places(self, text: str, words: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
        """Return where each term stands in a text: from which character to before which."""
        return explain.find_places(self._vectorizer, text, words)

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        """Write the pipeline: structure, arrays, and the trees in XGBoost's own stable form."""
        return save_pipeline(self.pipeline, folder)
