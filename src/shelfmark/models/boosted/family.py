"""The boosted family: TF-IDF, linear scorers and XGBoost trees as one classifier."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.pipeline import Pipeline

from shelfmark.config.schema import Config, EngineConfig
from shelfmark.core import pickles
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import engine as engines
from shelfmark.models.boosted.classifier import PIPELINE, BoostedClassifier
from shelfmark.models.protocol import Family, Fitted, RoundCallback

if TYPE_CHECKING:
    import pyarrow as pa


class BoostedFamily(Family):
    """Fits and opens boosted classifiers."""

    kind = "boosted"
    description = "TF-IDF and XGBoost"
    # A pickle fits the very versions that wrote it and no others.
    libraries = ("scikit-learn", "xgboost", "numpy", "scipy")
    files = (PIPELINE,)

    def fit(
        self,
        config: Config,
        train: pa.Table,
        validation: pa.Table,
        callback: RoundCallback,
        checkpoint: Checkpoint | None = None,
        engine: Any = None,
    ) -> Fitted:
        """Fit features, scorers and trees."""
        from shelfmark.models.boosted.fit import fit_model  # needs pyarrow, which serving does not

        return fit_model(config, train, validation, callback, checkpoint, engine)

    def load(
        self, folder: Path, classes: tuple[str, ...], threads: int | None = None
    ) -> BoostedClassifier:
        """Open the pipeline through the list of names that a pickle may use.

        Raises:
            ShelfmarkError: the file holds something else.
        """
        pipeline = pickles.load(folder / PIPELINE)
        if not isinstance(pipeline, Pipeline):
            kind = type(pipeline).__name__
            raise ShelfmarkError(f"{folder / PIPELINE} holds no pipeline but {kind}")
        booster = pipeline[-1].classifier.booster_
        if booster is not None:
            booster.set_param({"nthread": threads or os.cpu_count() or 1})
        return BoostedClassifier(pipeline, classes)

    @contextlib.contextmanager
    def open_engine(self, config: EngineConfig) -> Iterator[Any]:
        """Yield this machine, or a Dask cluster."""
        with engines.open_engine(config) as opened:
            yield opened


FAMILY = BoostedFamily()
