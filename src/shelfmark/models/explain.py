"""Why this category: the words that pushed towards it and away, and where they stand."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from shelfmark.models.artifact import Model
from shelfmark.models.boosted.features import sparse
from shelfmark.models.boosted.stacking import CrossFittedScores

MOST_WORDS = 12


@dataclass(frozen=True)
class Explanation:
    """What made the margin of one class of one paper.

    Args:
        category: the class.
        margin: before the softmax; `base` and the weights of all words add up to it.
        base: what the margin owes to no word of the paper: intercepts, and words that are absent.
        weights: what each term of the paper adds.
    """

    category: str
    margin: float
    base: float
    weights: dict[str, float]

    def strongest(self, count: int = MOST_WORDS) -> list[tuple[str, float]]:
        """Return the terms of the largest weights either way, the largest first."""
        return sorted(self.weights.items(), key=lambda pair: (-abs(pair[1]), pair[0]))[:count]


def explain(model: Model, text: str, category: str) -> Explanation:
    """Explain the margin of a class for a cleaned text.

    TreeSHAP shares the margin out among the features. A chosen term keeps its share; that of a
    score goes to the words it is the sum of, each by its part, as far as they move the score from
    its mean over the training papers, or from its rivals'. Source: arXiv:1802.03888; for linear
    models arXiv:1705.07874.

    Raises:
        ValueError: the model has no such class.
    """
    steps, decision = model.pipeline.steps[:-1], model.decision
    words = steps[0][1].transform([text]).tocsr()
    features = sparse(steps[1][1].transform(words))
    parts = dict(steps[1][1].transformer_list)
    stack: CrossFittedScores | None = parts.get("scores")
    none = np.zeros(0, np.float32)
    means, deviations = (stack.means_, stack.deviations_) if stack else (none, none)
    number = model.classes.index(category)
    made = decision.classifier.contributions(features, number, means, deviations)
    temperature = decision.temperature
    weights: dict[str, float] = defaultdict(float)
    if stack is not None:
        added = np.hstack([scorer.parts(words) for scorer in stack.fitted_]) @ made.slopes
        for name, weight in zip(model.terms[words.indices], added, strict=True):
            weights[name] += float(weight) / temperature
    if "terms" in parts:
        present = features[0, len(means) :].indices
        columns = parts["terms"].columns_[present]
        for name, weight in zip(model.terms[columns], made.terms[present], strict=True):
            weights[name] += float(weight) / temperature
    margin = made.margin / temperature
    return Explanation(category, margin, margin - sum(weights.values()), dict(weights))


def places(model: Model, text: str, terms: list[str]) -> dict[str, list[tuple[int, int]]]:
    """Return where each term stands in a cleaned text: from which character to before which."""
    vectorizer: TfidfVectorizer = model.pipeline[0].transformer_list[0][1]
    tokens = _tokens(vectorizer, text)
    wanted: dict[str, list[tuple[int, int]]] = {term: [] for term in terms}
    low, high = vectorizer.ngram_range
    runs = (range(len(tokens) - size + 1) for size in range(low, high + 1))
    for size, starts in zip(range(low, high + 1), runs, strict=True):
        for start in starts:
            run = tokens[start : start + size]
            term = " ".join(token for token, _, _ in run)
            if term in wanted:
                wanted[term].append((run[0][1], run[-1][2]))
    return wanted


def _tokens(vectorizer: TfidfVectorizer, text: str) -> list[tuple[str, int, int]]:
    """Return the tokens of a text, each with the characters it comes from."""
    prepare, stop = vectorizer.build_preprocessor(), vectorizer.get_stop_words() or ()
    # Prepared, a character may be several, or none: an accent of its own.
    origins = [place for place, character in enumerate(text) for _ in prepare(character)]
    found = re.finditer(vectorizer.token_pattern, prepare(text))
    tokens = [(match[0], origins[match.start()], origins[match.end() - 1] + 1) for match in found]
    return [token for token in tokens if token[0] not in stop]
