"""The traits of a text: its length, its language, and how much of it a model knows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shelfmark.models.artifact import Model
from shelfmark.models.languages import identify_language

ANY_WORD = re.compile(r"\b\w\w+\b")  # of a text where the model has no vocabulary
LEAST_WORDS = 3  # fewer are too few to identify the language


@dataclass(frozen=True)
class TextTraits:
    """The traits of a text.

    Args:
        characters: its length.
        words: its length.
        unknown: share of the words that are not in the model's vocabulary, those too frequent for
            it included; None without words, or if the vocabulary has no single words.
        language: ISO 639 code; None if the text is too short or the language is uncertain.
    """

    characters: int
    words: int
    unknown: float | None
    language: str | None


def text_traits(model: Model, text: str) -> TextTraits:
    """Return the traits of a text as `model.text` returns it."""
    vocabulary = model.classifier.vocabulary
    words = ANY_WORD.findall(text) if vocabulary is None else vocabulary.words(text)
    unknown = None if vocabulary is None else vocabulary.unknown_share(words)
    if unknown is not None:
        unknown = round(unknown, 6)
    language = identify_language(text) if len(words) >= LEAST_WORDS else None
    return TextTraits(len(text), len(words), unknown, language)
