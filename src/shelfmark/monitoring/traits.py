"""What is worth watching of a text: whether those that come are like those learnt from."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from shelfmark.core import files
from shelfmark.models.artifact import Model

ENOUGH_WORDS = 3  # fewer tell no language
ENOUGH_CHARACTERS = 500  # more tell it no better, and take longer
SURE = 0.5  # the probability from which on a guessed language is given


def traits(model: Model, text: str) -> dict[str, Any]:
    """Return the traits of a text as `model.text` gives it.

    Returns:
        characters and words (counts); unknown, the share of the words that are not in the model's
        vocabulary, those too frequent for it among them; and language, a code of ISO 639. Unknown
        is null where there is no word or the vocabulary holds no single ones, language where the
        text is too short or too strange to tell.
    """
    _, vectorizer = model.pipeline[0].transformer_list[0]
    words = vectorizer.build_tokenizer()(vectorizer.build_preprocessor()(text))
    if stop := vectorizer.get_stop_words():
        words = [word for word in words if word not in stop]
    unknown = None
    if words and vectorizer.ngram_range[0] == 1:
        known = sum(map(vectorizer.vocabulary_.__contains__, words))
        unknown = round(1 - known / len(words), 6)
    return {
        "characters": len(text),
        "words": len(words),
        "unknown": unknown,
        "language": _language(text) if len(words) >= ENOUGH_WORDS else None,
    }


def _language(text: str) -> str | None:
    language: str = _identifier().classify(text[:ENOUGH_CHARACTERS])[0]
    return None if language == "und" else language


@functools.cache
def _identifier() -> Any:
    # Its model takes a second to read, which only who asks for it should spend.
    from py3langid.langid import (  # type: ignore[import-untyped]
        MODEL_FILE,
        LanguageIdentifier,
    )

    # It is unpacked to a file that goes at once, which a full disk does not take.
    with files.report_write_errors(Path(tempfile.gettempdir())):
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=SURE)
