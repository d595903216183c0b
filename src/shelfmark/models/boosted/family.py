"""The boosted family: TF-IDF, linear scorers and XGBoost trees as one classifier."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shelfmark.artifacts.digested import DigestedFiles
from shelfmark.config.schema import Config, EngineConfig
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.models.boosted.classifier import BoostedClassifier
from shelfmark.models.boosted.fitting import engine as engines
from shelfmark.models.boosted.pipeline import PIPELINE, open_pipeline
from shelfmark.models.card import ModelCard
from shelfmark.models.protocol import Family, Fitted, RoundCallback

if TYPE_CHECKING:
    from shelfmark.data.splits import PaperGroups


class BoostedFamily(Family):
    """Fits and opens boosted classifiers."""

    kind = "boosted"
    description = "TF-IDF and XGBoost"
    # Under other versions the same files could give other numbers.
    libraries = ("scikit-learn", "xgboost", "numpy", "scipy")
    files = (PIPELINE,)
    code = ("embeddings/sizes.py", "embeddings/static/encoder.py", "embeddings/static/vectors.py")

    def fit(
        self,
        config: Config,
        train: PaperGroups,
        validation: PaperGroups,
        callback: RoundCallback,
        checkpoint: Checkpoint | None = None,
        engine: Any = None,
    ) -> Fitted:
        """Fit features, scorers and trees."""
        from shelfmark.models.boosted.fitting.fit import (
            fit_model,  # needs pyarrow, which serving does not
        )

        return fit_model(config, train, validation, callback, checkpoint, engine)

    def load(
        self, files: DigestedFiles, card: ModelCard, threads: int | None = None
    ) -> BoostedClassifier:
        """Open the pipeline.

        Raises:
            ShelfmarkError: a file is damaged or foreign, or does not fit the card.
        """
        pipeline = open_pipeline(files, len(card.labels), tuple(card.listed))
        if pipeline.votes_ is not None:
            pipeline.votes_.encoder.threads = threads or os.cpu_count() or 1
        if pipeline.network_ is not None:
            pipeline.network_.network.read_by(threads)
        return BoostedClassifier(pipeline, tuple(card.labels))

    def load_older(self, files: DigestedFiles, card: ModelCard) -> BoostedClassifier:
        """Open the pickle of an older artifact, which could run code.

        Raises:
            ShelfmarkError: the pickle is damaged or foreign.
        """
        from shelfmark.models.boosted import older

        pipeline = older.open_pipeline(files.content(PIPELINE))
        return BoostedClassifier(pipeline, tuple(card.labels))

    @contextlib.contextmanager
    def open_engine(self, config: EngineConfig) -> Iterator[Any]:
        """Yield this machine, or a Dask cluster."""
        with engines.open_engine(config) as opened:
            yield opened


FAMILY = BoostedFamily()
