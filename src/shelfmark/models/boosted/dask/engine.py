"""The engine that trains on a Dask cluster: an existing one, or processes of this machine.

The papers are sent to the workers, a group at a time. The workers keep their n-grams and their rows
in files, and read blocks of rows from one another. Linear models are fitted one per task, and trees
by `xgboost.dask`. If a worker is lost, those that are left or restarted make its rows again and
repeat the stage; trees resume from the checkpoint.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import xgboost
from distributed import as_completed
from threadpoolctl import threadpool_limits

from shelfmark.config.schema import EngineConfig
from shelfmark.core import memory
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.data.splits import PaperGroups
from shelfmark.models.boosted.boosting import BoostingRun, Objective, Rows
from shelfmark.models.boosted.dask import peers, trees, workers
from shelfmark.models.boosted.dask.rows import WEIGHED, ClusterRows, PartPlaces, PeerRows
from shelfmark.models.boosted.dask.vocabulary import VocabularyLearner
from shelfmark.models.boosted.dask.workers import Workers
from shelfmark.models.boosted.features import FastFeatureUnion
from shelfmark.models.boosted.fitting.engine import FitTask, writing_bytes
from shelfmark.models.boosted.fitting.rows import PaperLabels, TrainingRows
from shelfmark.tfidf.corpus.fields import CorpusPart, Field
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

_ALONE = threading.Lock()


@contextlib.contextmanager
def open_engine(config: EngineConfig) -> Iterator[DaskEngine]:
    """Yield the engine of a configuration.

    Raises:
        ShelfmarkError: as `workers.open_workers`.
    """
    with (
        workers.open_workers(config) as cluster_workers,
        peers.serve_files(cluster_workers.client) as folder,
    ):
        yield DaskEngine(cluster_workers, folder)


class DaskEngine:
    """The engine that works through a client of Dask."""

    def __init__(self, workers: Workers, folder: str) -> None:
        self.budget = memory.budget_bytes(None)
        self._workers = workers
        self._client = workers.client
        self._folder = folder

    def learn_vocabulary(
        self,
        fields: Sequence[Field],
        parts: Sequence[CorpusPart],
        classes: int,
        max_terms: int | None,
        checkpoint: Checkpoint,
    ) -> list[FastTfidfVectorizer | None]:
        """Count on the workers, which keep the n-grams; only the chosen terms come back."""
        learner = VocabularyLearner(self._workers, self._folder, fields, parts, classes, max_terms)
        return self._workers.retry_lost_workers("words", learner.learn)

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
        """Weigh the papers on the workers, which keep the rows.

        Raises:
            ShelfmarkError: a worker has too little memory or disk, or too many were lost.
        """
        rows = ClusterRows(self._workers, self._folder, fields, papers, labels, seed)
        self._workers.require_memory(writing_bytes(fields, WEIGHED), "weighing words")
        self._workers.retry_lost_workers("rows", rows.write_missing)
        return rows

    def fit_to_checkpoint(
        self, named: Sequence[tuple[str, FitTask]], checkpoint: Checkpoint, rows: TrainingRows
    ) -> None:
        """Fit each model in a task of a worker, and save its result on this machine.

        Raises:
            ShelfmarkError: a worker has too little memory, or too many were lost.
        """
        assert isinstance(rows, ClusterRows)
        for name, task in named:
            self._workers.require_memory(task.memory(rows), f"fitting {name}")

        def keep_missing() -> None:
            places, client = rows.write_missing(), self._client
            missing = [(name, task) for name, task in named if name not in checkpoint]
            tasks = client.scatter([task for _, task in missing], hash=False)
            [labels] = client.scatter([rows.labels], hash=False)
            futures = {
                client.submit(_fit_isolated, task, places, labels, rows.stored, pure=False): name
                for task, (name, _) in zip(tasks, missing, strict=True)
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


def _fit_isolated(task: FitTask, places: PartPlaces, labels: PaperLabels, stored: int) -> Any:
    """Fit as in a separate process: liblinear's threads share one random generator."""
    with _ALONE, threadpool_limits(1):
        return task.fit(PeerRows(places, labels, stored))
