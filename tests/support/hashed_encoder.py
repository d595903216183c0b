"""A small family of encoders: the rows of hashed words, drawn by a seed and weighted by rarity."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from pydantic import Field

from shelfmark.artifacts.card import TrainingData
from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.config import encoders as config
from shelfmark.config.encoders import EncoderConfig, EncoderSettings
from shelfmark.config.load import load_encoder_config
from shelfmark.core import npy
from shelfmark.core.arrays import Array, Floats
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.core.npy import ArraySpec
from shelfmark.embeddings import artifact, families
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.protocol import EncoderFamily, EpochCallback, FittedEncoder

KIND = "hashed"
ROWS = "rows.npy"
WORD = re.compile(r"\w\w+")


class HashedConfig(EncoderConfig):
    kind: Literal["hashed"] = KIND
    size: int = Field(ge=1)
    buckets: int = Field(ge=1)


class HashedEncoder:
    """A text is the sum of the rows of its words, divided by its length."""

    def __init__(self, rows: Array) -> None:
        self._rows = rows

    @property
    def size(self) -> int:
        return int(self._rows.shape[1])

    def encode(self, texts: Sequence[str]) -> Floats:
        vectors = np.zeros((len(texts), self.size), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            if places := hash_words(text, len(self._rows)):
                vector += self._rows[places].sum(axis=0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, lengths, out=vectors, where=lengths > 0)

    def save(self, folder: Path) -> dict[str, ArraySpec]:
        with (folder / ROWS).open("wb") as file:
            return {ROWS: npy.write_array(file, self._rows)}


class HashedFamily(EncoderFamily):
    kind = KIND
    description = "Hashed words"
    libraries = ("numpy",)
    files = (ROWS,)

    def fit(
        self,
        settings: EncoderSettings,
        train: pa.Table,
        validation: pa.Table,
        callback: EpochCallback,
        checkpoint: Checkpoint | None = None,
    ) -> FittedEncoder:
        assert isinstance(settings.encoder, HashedConfig)
        encoder = fit_rows(settings.encoder, settings.seed, train["text"].to_pylist())
        callback(0, {"train": 0.0, "validation": 0.0})
        return FittedEncoder(encoder, {"buckets": settings.encoder.buckets})

    def load(
        self, files: DigestedFiles, card: EncoderCard, threads: int | None = None
    ) -> HashedEncoder:
        return HashedEncoder(files.array(ROWS))


FAMILY = HashedFamily()


def hash_words(text: str, buckets: int) -> list[int]:
    return [zlib.crc32(word.encode()) % buckets for word in WORD.findall(text.lower())]


def fit_rows(settings: HashedConfig, seed: int, texts: Sequence[str]) -> HashedEncoder:
    """Draw a row for each bucket; a rare bucket has a long one."""
    counts = Counter(place for text in texts for place in set(hash_words(text, settings.buckets)))
    papers = np.array([counts[place] for place in range(settings.buckets)])
    rarity = np.log((1 + len(texts)) / (1 + papers)) + 1
    rows = np.random.default_rng(seed).standard_normal((settings.buckets, settings.size))
    return HashedEncoder((rows * rarity[:, None]).astype(np.float32))


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the family known to the configuration and to artifacts, in this process."""
    monkeypatch.setitem(families.MODULES, KIND, __name__)
    monkeypatch.setitem(config.ENCODER_KINDS, KIND, HashedConfig)


def make_settings(
    *overrides: str, size: int = 64, buckets: int = 4096, seed: int = 1
) -> EncoderSettings:
    """Return the configuration of a training of this family, which is registered."""
    encoder = HashedConfig(size=size, buckets=buckets)
    return load_encoder_config([f"seed={seed}", *overrides]).model_copy(update={"encoder": encoder})


def save_encoder(
    encoders: Path,
    texts: Sequence[str],
    name: str = "hashed",
    sizes: Sequence[int] = (),
    settings: EncoderSettings | None = None,
    data: TrainingData | None = None,
) -> Path:
    """Fit an encoder of this family, which is registered, and return its folder `encoders/name`.

    The alias `encoders/latest` names it. Its card names the splits `data`, where they are given.
    """
    settings = settings or make_settings()
    assert isinstance(settings.encoder, HashedConfig)
    card = EncoderCard(
        name=name,
        config=settings.model_dump(mode="json"),
        size=settings.encoder.size,
        sizes=list(sizes),
        details={"buckets": settings.encoder.buckets},
        seconds={"fit": 1.5},
        **({"data": data} if data else {}),
    )
    return artifact.save(fit_rows(settings.encoder, settings.seed, texts), card, encoders)
