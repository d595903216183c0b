"""The language of a text."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from shelfmark.core import files

MOST_CHARACTERS = 500  # more identify it no better, and take longer
LEAST_PROBABILITY = 0.5  # of a language that is reported


def identify_language(text: str) -> str | None:
    """Return the ISO 639 code of the language of a text; None if it is uncertain."""
    language: str = language_identifier().classify(text[:MOST_CHARACTERS])[0]
    return None if language == "und" else language


@functools.cache
def language_identifier() -> Any:
    """Return what identifies languages, read from its file once.

    Raises:
        ShelfmarkError: the folder of temporary files takes no file.
    """
    # Its model takes half a second to read: only those who need it should wait.
    from py3langid.langid import (  # type: ignore[import-untyped]
        MODEL_FILE,
        LanguageIdentifier,
    )

    # It is unpacked to a temporary file, which a full disk does not take.
    with files.report_write_errors(Path(tempfile.gettempdir())):
        return LanguageIdentifier.from_model_file(
            MODEL_FILE, norm_probs=True, min_confidence=LEAST_PROBABILITY
        )
