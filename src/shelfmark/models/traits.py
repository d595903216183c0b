"""The traits of a text: its length, its language, and how much of it a model knows."""

from __future__ import annotations

import functools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelfmark.core import files
from shelfmark.models.artifact import Model

ANY_WORD = re.compile(r"\b\w\w+\b")  # of a text where the model has no vocabulary
LEAST_WORDS = 3  # fewer are too few to identify the language
MOST_CHARACTERS = 500  # more identify it no better, and take longer
LEAST_PROBABILITY = 0.5  # of a language that is reported


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
    language = _identify_language(text) if len(words) >= LEAST_WORDS else None
    return TextTraits(len(text), len(words), unknown, language)


def _identify_language(text: str) -> str | None:
    language: str = _language_identifier().classify(text[:MOST_CHARACTERS])[0]
    return None if language == "und" else language


@functools.cache
def _language_identifier() -> Any:
    # Its model takes a second to read: only those who need it should wait.
    from py3langid.langid import (  # type: ignore[import-untyped]
        MODEL_FILE,
        LanguageIdentifier,
    )

    # It is unpacked to a temporary file, which a full disk does not take.
    with files.report_write_errors(Path(tempfile.gettempdir())):
        return LanguageIdentifier.from_model_file(
            MODEL_FILE, norm_probs=True, min_confidence=LEAST_PROBABILITY
        )
