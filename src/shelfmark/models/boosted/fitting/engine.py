"""The engine of a training: the processes of this machine, or a Dask cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import scipy.sparse as sp
import xgboost
from threadpoolctl import threadpool_limits

from shelfmark.config.schema import EngineConfig
from shelfmark.core import parallel, project
from shelfmark.core.arrays import Array
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import boosting
from shelfmark.models.boosted.boosting import BoostingRun, Objective, Rows
from shelfmark.tfidf import counts
from shelfmark.tfidf.ngrams import Grams, Limits
from shelfmark.tfidf.tokens import Reader

WORTH_DISTRIBUTING = (
    1 << 26
)  # stored features x columns: less does not repay the start of processes

Item = TypeVar("Item")


class Engine(Protocol):
    """The expensive parts of a training, computed on this machine or on a cluster."""

    def count(
        self, documents: Sequence[str], reader: Reader, limits: Limits
    ) -> tuple[list[str], Grams]:
        """Return exactly the result of `counts.count_terms`."""

    def worth_distributing(self, work: int) -> bool:
        """Whether `map_to_checkpoint` is worth its overhead; work is stored features x columns."""

    def map_to_checkpoint(
        self,
        work: Callable[..., Any],
        named: Sequence[tuple[str, Item]],
        checkpoint: Checkpoint,
        matrix: sp.csr_matrix,
        **arrays: Array,
    ) -> None:
        """Call a function of some module with each item, the matrix and the arrays in their order.

        The result for an item is saved in the checkpoint, under the item's name.
        """

    def grow(
        self, run: BoostingRun, objective: Objective, train: Rows, validation: Rows
    ) -> xgboost.Booster:
        """Grow trees as `boosting.grow` does; another order of sums gives other trees.

        Raises:
            ShelfmarkError: XGBoost refuses a parameter.
        """


class LocalEngine:
    """This machine: one process, and more processes for large work."""

    def count(
        self, documents: Sequence[str], reader: Reader, limits: Limits
    ) -> tuple[list[str], Grams]:
        """Count in this process."""
        return counts.count_terms(documents, reader, limits)

    def worth_distributing(self, work: int) -> bool:
        """Whether the work takes longer than the start of processes."""
        return work > WORTH_DISTRIBUTING

    def map_to_checkpoint(
        self,
        work: Callable[..., Any],
        named: Sequence[tuple[str, Item]],
        checkpoint: Checkpoint,
        matrix: sp.csr_matrix,
        **arrays: Array,
    ) -> None:
        """Compute each item in a process, which saves its result."""
        with checkpoint.scratch() as folder:
            parallel.write_shared_arrays(folder, matrix, **arrays)
            here = partial(_keep, folder, tuple(arrays), checkpoint, work)
            for _ in parallel.map_in_order(here, named, wait_on_interrupt=False):
                pass

    def grow(
        self, run: BoostingRun, objective: Objective, train: Rows, validation: Rows
    ) -> xgboost.Booster:
        """Grow in the threads of this process."""
        return boosting.grow(run, objective, train, validation)


LOCAL = LocalEngine()


@contextlib.contextmanager
def open_engine(config: EngineConfig) -> Iterator[Engine]:
    """Yield the engine of a configuration, ready to work.

    Raises:
        ShelfmarkError: there is no such cluster, or its workers have other versions.
    """
    if config.kind == "local":
        yield LOCAL
        return
    try:
        from shelfmark.models.boosted.dask import engine as dask_engine
    except ModuleNotFoundError as error:
        how = project.install_command("dask")
        raise ShelfmarkError(f"engine=dask needs the dask extra: {how}") from error
    with dask_engine.open_engine(config) as engine:
        yield engine


def _keep(
    folder: Path,
    arrays: tuple[str, ...],
    checkpoint: Checkpoint,
    work: Callable[..., Any],
    named: tuple[str, Any],
) -> None:
    name, item = named
    with threadpool_limits(1):  # the others have the other cores
        checkpoint.save(name, work(item, *parallel.read_shared_arrays(folder, *arrays)))
