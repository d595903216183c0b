"""The vectors of a window and of its reference, for a domain test that reads meaning, not words.

A reference holds no texts, so its papers are read again from the validation split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shelfmark.core import console
from shelfmark.core.arrays import Floats
from shelfmark.data.splits import open_recorded_splits
from shelfmark.embeddings import artifact
from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.errors import ShelfmarkError
from shelfmark.models.card import ModelCard
from shelfmark.monitoring import reference
from shelfmark.monitoring.windows import Window

BATCH = 1024  # papers


@dataclass(frozen=True)
class VectorSamples:
    """The vectors of both sides of a comparison.

    Args:
        encoder: the name of the encoder.
        old: those of the reference, shape (papers, numbers).
        new: those of the window's rows in `with_terms`, likewise.
    """

    encoder: str
    old: Floats
    new: Floats


def encode_samples(located: LocatedEncoder, card: ModelCard, window: Window) -> VectorSamples:
    """Return the vectors of a model's reference and of a window.

    Args:
        located: the encoder.
        card: of the model, which names the splits.
        window: its texts are known.

    Raises:
        ShelfmarkError: the window has no texts, the splits are missing or others, or the encoder
            cannot be opened.
    """
    if window.texts is None:
        raise ShelfmarkError(
            f"--encoder: {window.source} holds no texts to encode: compare papers with --papers, "
            "or set SHELFMARK_LOG_TEXTS=true for the service"
        )
    splits = open_recorded_splits(Path(card.data.folder), card.data.card_sha256, card.name)
    texts = splits.read("validation", ["text"])["text"]
    old = texts.take(reference.sample_rows(len(texts))).to_pylist()
    encoder = artifact.load(located.folder, digest=located.digest)
    with console.progress("encoding"):
        return VectorSamples(encoder.name, encode(encoder, old), encode(encoder, window.texts))


def encode(encoder: OpenEncoder, texts: Sequence[str]) -> Floats:
    """Return the vectors of cleaned texts, shape (texts, size), a batch at a time."""
    parts = [encoder.encode(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
    return np.concatenate([np.zeros((0, encoder.size), np.float32), *parts])
