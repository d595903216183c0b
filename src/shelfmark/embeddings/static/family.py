"""The static family: a table of one vector for each term, in NumPy and SciPy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.config.encoders import EncoderSettings
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.protocol import Encoder, EncoderFamily, EpochCallback, FittedEncoder

if TYPE_CHECKING:
    import pyarrow as pa


class StaticFamily(EncoderFamily):
    """Trains and opens static encoders."""

    kind = "static"
    description = "static vectors of terms"

    def fit(
        self,
        settings: EncoderSettings,
        train: pa.Table,
        validation: pa.Table,
        callback: EpochCallback,
        checkpoint: Checkpoint | None = None,
    ) -> FittedEncoder:
        """Train the table."""
        raise NotImplementedError

    def load(self, files: DigestedFiles, card: EncoderCard, threads: int | None = None) -> Encoder:
        """Open the table."""
        raise NotImplementedError


FAMILY = StaticFamily()
