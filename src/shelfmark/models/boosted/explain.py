"""Explanations: the words that push towards a class or away, and where they stand."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from shelfmark.models.boosted.features import term_names
from shelfmark.models.boosted.pipeline import TextPipeline
from shelfmark.models.boosted.stacking import CrossFittedScores
from shelfmark.models.protocol import WordWeights


def weigh_words(pipeline: TextPipeline, text: str, number: int, category: str) -> WordWeights:
    """Return what each term of a cleaned text adds to the margin of a class.

    TreeSHAP shares the margin out among the features. A chosen term keeps its share; that of a
    score goes to the words it is the sum of, each by its part, as far as they move the score from
    its mean over the training papers, or from its rivals'. Source: arXiv:1802.03888; for linear
    models arXiv:1705.07874.

    Args:
        pipeline: fitted.
        text: as `Model.text` cleans it.
        number: of the class.
        category: its label.
    """
    steps, decision = pipeline.steps[:-1], pipeline[-1]
    rows = steps[0][1].read_texts([text])
    [words], [features] = rows, pipeline.features_of([text])
    parts = dict(steps[1][1].transformer_list)
    stack: CrossFittedScores | None = parts.get("scores")
    none = np.zeros(0, np.float32)
    means, deviations = (stack.means_, stack.deviations_) if stack else (none, none)
    made = decision.classifier.contributions(features, number, means, deviations)
    temperature = decision.temperature
    weights: dict[str, float] = defaultdict(float)
    if stack is not None:
        added = np.hstack([scorer.parts(words) for scorer in stack.fitted_]) @ made.slopes
        names = term_names(steps, words.columns)
        for name, weight in zip(names, added, strict=True):
            weights[name] += float(weight) / temperature
    count = parts["terms"].shape[1] if "terms" in parts else 0
    if "terms" in parts:
        present = np.flatnonzero(features[len(means) : len(means) + count])
        names = term_names(steps, parts["terms"].columns_[present])
        for name, weight in zip(names, made.terms[present], strict=True):
            weights[name] += float(weight) / temperature
    if (block := pipeline.network_) is not None:
        own = block.weigh_words(text, features[len(means) + count :], made.terms[count:])
        prepare = steps[0][1].transformer_list[0][1].build_preprocessor()
        for name, weight in own.items():
            weights[prepare(name)] += weight / temperature  # the term of this word
    margin = made.margin / temperature
    return WordWeights(category, margin, margin - sum(weights.values()), dict(weights))


def find_places(
    vectorizer: TfidfVectorizer, text: str, terms: Sequence[str]
) -> dict[str, list[tuple[int, int]]]:
    """Return where each term stands in a cleaned text: from which character to before which."""
    tokens = _tokens(vectorizer, text)
    wanted: dict[str, list[tuple[int, int]]] = {term: [] for term in terms}
    low, high = vectorizer.ngram_range
    # Most tokens start none of the few terms, so their n-grams need not be built.
    first_tokens = {term.partition(" ")[0] for term in terms}
    starts = [start for start, (token, _, _) in enumerate(tokens) if token in first_tokens]
    for start in starts:
        for size in range(low, min(high, len(tokens) - start) + 1):
            run = tokens[start : start + size]
            term = " ".join(token for token, _, _ in run)
            if term in wanted:
                wanted[term].append((run[0][1], run[-1][2]))
    return wanted


def _tokens(vectorizer: TfidfVectorizer, text: str) -> list[tuple[str, int, int]]:
    """Return the tokens of a text, each with the characters it comes from."""
    prepare, stop = vectorizer.build_preprocessor(), vectorizer.get_stop_words() or ()
    # A character becomes several when prepared, or none, as an accent that stands alone does.
    widths = {character: len(prepare(character)) for character in set(text)}
    origins = [place for place, character in enumerate(text) for _ in range(widths[character])]
    matches = re.finditer(vectorizer.token_pattern, prepare(text))
    tokens = [(match[0], origins[match.start()], origins[match.end() - 1] + 1) for match in matches]
    return [token for token in tokens if token[0] not in stop]
