"""The static family: a table of one vector for each term, in NumPy and SciPy alone."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.config.encoders import EncoderSettings, StaticConfig
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.embeddings.card import EncoderCard
from shelfmark.embeddings.protocol import Encoder, EncoderFamily, EpochCallback, FittedEncoder
from shelfmark.embeddings.static.encoder import TABLE, StaticEncoder, open_encoder
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    import pyarrow as pa


class StaticFamily(EncoderFamily):
    """Trains and opens static encoders."""

    kind = "static"
    description = "static vectors of terms"
    libraries = ("scikit-learn", "numpy", "scipy")
    files = (TABLE,)

    def fit(
        self,
        settings: EncoderSettings,
        train: pa.Table,
        validation: pa.Table,
        callback: EpochCallback,
        checkpoint: Checkpoint | None = None,
    ) -> FittedEncoder:
        """Count the terms, and train their vectors; the validation papers are not read.

        Raises:
            ShelfmarkError: no term occurs often enough.
        """
        config = settings.encoder
        assert isinstance(config, StaticConfig)
        threads = config.n_jobs or os.cpu_count() or 1
        with threadpool_limits(threads):
            return _fit(config, train, settings.seed, callback, checkpoint, threads)

    def load(self, files: DigestedFiles, card: EncoderCard, threads: int | None = None) -> Encoder:
        """Open the table.

        Raises:
            ShelfmarkError: a file is damaged or foreign.
        """
        encoder = open_encoder(files)
        encoder.threads = threads or os.cpu_count() or 1
        return encoder


def _fit(
    config: StaticConfig,
    train: pa.Table,
    seed: int,
    callback: EpochCallback,
    checkpoint: Checkpoint | None,
    threads: int,
) -> FittedEncoder:
    from shelfmark.embeddings.static import start, terms
    from shelfmark.embeddings.static.pairs import Papers
    from shelfmark.embeddings.static.rotation import rotate_table
    from shelfmark.embeddings.static.training import train_table

    begin = time.perf_counter()
    work = partial(terms.learn_terms, train["text"], config.min_df, config.max_terms, threads)
    counted = work() if checkpoint is None else checkpoint.compute_once("terms", work)
    vectorizer, frequencies = counted
    papers = Papers(train, vectorizer)
    weights = start.inverse_frequencies(frequencies, train.num_rows)
    if config.start == "lsa":
        rows = start.start_from_lsa(papers.texts, weights, config.size, seed)
    else:
        rows = start.start_randomly(weights, config.size, seed)
    seconds = {"terms": time.perf_counter() - begin}
    table, spent = train_table(config, papers, rows, seed, checkpoint, callback)
    if not np.isfinite(table).all():
        raise ShelfmarkError("the training diverged: lower encoder.learning_rate or encoder.scale")
    table = rotate_table(table, papers.abstracts, config.whitening)
    encoder = StaticEncoder.from_table(vectorizer, table)
    details: dict[str, Any] = {"terms": len(table)}
    return FittedEncoder(encoder, details, seconds | spent)


FAMILY = StaticFamily()
