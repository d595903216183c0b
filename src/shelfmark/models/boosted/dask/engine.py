"""The engine that trains on a Dask cluster: an existing one, or processes of this machine.

Words are counted by partitions of the papers, linear models are fitted one per task, and trees by
`xgboost.dask`. If a worker is lost, those that are left or restarted repeat the stage; trees
resume from the checkpoint.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import xgboost
from distributed import as_completed
from threadpoolctl import threadpool_limits

from shelfmark.config.schema import EngineConfig
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.data.splits import PaperGroups
from shelfmark.models.boosted.boosting import BoostingRun, Objective, Rows
from shelfmark.models.boosted.dask import ngrams as partitions
from shelfmark.models.boosted.dask import trees, workers
from shelfmark.models.boosted.dask.workers import Workers
from shelfmark.models.boosted.features import FastFeatureUnion
from shelfmark.models.boosted.fitting.engine import LOCAL, FitTask
from shelfmark.models.boosted.fitting.rows import (
    MatrixRows,
    PaperLabels,
    TrainingRows,
    gather_rows,
)
from shelfmark.tfidf.corpus.fields import CorpusPart, Field
from shelfmark.tfidf.ngrams import Grams, Limits
from shelfmark.tfidf.tokens import Reader
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

PARTS = 2  # partitions of the papers a worker, so that a slow one holds up less

_ALONE = threading.Lock()


@contextlib.contextmanager
def open_engine(config: EngineConfig) -> Iterator[DaskEngine]:
    """Yield the engine of a configuration.

    Raises:
        ShelfmarkError: as `workers.open_workers`.
    """
    with workers.open_workers(config) as cluster_workers:
        yield DaskEngine(cluster_workers)


class DaskEngine:
    """The engine that works through a client of Dask."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._client = workers.client

    def count(
        self, documents: Sequence[str], reader: Reader, limits: Limits
    ) -> tuple[list[str], Grams]:
        """Count the n-grams of partitions, and merge them by ranges of their first words."""
        return self._workers.retry_lost_workers(
            "words", partial(self._count, documents, reader, limits)
        )

    def learn_vocabulary(
        self,
        fields: Sequence[Field],
        parts: Sequence[CorpusPart],
        classes: int,
        max_terms: int | None,
        checkpoint: Checkpoint,
    ) -> list[FastTfidfVectorizer | None]:
        """Count on this machine."""
        return LOCAL.learn_vocabulary(fields, parts, classes, max_terms, checkpoint)

    def worth_distributing(self, work: int) -> bool:
        """Return True: the configuration asks for the cluster."""
        return True

    def make_rows(
        self,
        fields: FastFeatureUnion,
        papers: PaperGroups,
        labels: PaperLabels,
        checkpoint: Checkpoint,
        seed: int,
    ) -> TrainingRows:
        """Weigh the papers on this machine."""
        return LOCAL.make_rows(fields, papers, labels, checkpoint, seed)

    def fit_to_checkpoint(
        self, named: Sequence[tuple[str, FitTask]], checkpoint: Checkpoint, rows: TrainingRows
    ) -> None:
        """Fit each model in a task, and save its result on this machine."""
        whole = gather_rows(rows)
        order = np.argsort(whole.papers)
        matrix = MatrixRows(whole.features[order], rows.labels)

        def keep_missing() -> None:
            [there] = self._client.scatter([matrix], hash=False)
            futures = {
                self._client.submit(_run_isolated, task.fit, there, pure=False): name
                for name, task in named
                if name not in checkpoint
            }
            for future in as_completed(list(futures)):
                checkpoint.save(futures.pop(future), future.result())

        self._workers.retry_lost_workers("linear models", keep_missing)

    def grow(
        self, run: BoostingRun, objective: Objective, train: Rows, validation: Rows
    ) -> xgboost.Booster:
        """Grow trees over all workers, each with its share of the rows and its own threads.

        Raises:
            ShelfmarkError: XGBoost refuses a parameter.
        """
        return trees.grow(self._workers, run, objective, train, validation)

    def _count(
        self, documents: Sequence[str], reader: Reader, limits: Limits
    ) -> tuple[list[str], Grams]:
        client, ranges = self._client, len(self._workers.names())
        size = max(-(-len(documents) // (PARTS * ranges)), 1)
        rows = range(0, len(documents), size)
        texts = client.scatter([documents[row : row + size] for row in rows], hash=False)
        streams = client.map(
            partitions.read_part, texts, reader=reader, n_max=limits.n_max, pure=False
        )
        summaries = client.gather(client.map(partitions.summarize_part, streams, pure=False))
        words = partitions.rank_words(summaries, limits, ranges)
        [there] = client.scatter([words], hash=False)
        spots = itertools.accumulate((part.length for part in summaries), initial=0)
        counted = [
            client.submit(partitions.count_part, stream, there, limits, row, spot, pure=False)
            for stream, row, spot in zip(streams, rows, spots, strict=False)
        ]
        merged = [
            client.submit(
                partitions.merge_grams,
                [client.submit(operator.getitem, part, place, pure=False) for part in counted],
                limits,
                pure=False,
            )
            for place in range(len(words.edges))
        ]
        return words.names, Grams.join(client.gather(merged))


def _run_isolated(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function as in a separate process: liblinear's threads share one random generator."""
    with _ALONE, threadpool_limits(1):
        return work(*arguments)
