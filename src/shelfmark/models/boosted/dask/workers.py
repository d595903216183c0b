"""The workers of a Dask cluster: connected or started, checked for versions, replaced if lost."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import dask
from distributed import Client, LocalCluster, WorkerPlugin
from loguru import logger

import shelfmark
from shelfmark.config.schema import EngineConfig
from shelfmark.core.disk import gigabytes
from shelfmark.errors import ShelfmarkError
from shelfmark.tfidf.corpus.learn import BUDGET

LOSSES = 5  # lost workers after which a stage is given up
NOTICED = 3.0  # seconds within which a scheduler knows that a worker is gone
POLL_SECONDS = 0.1  # between two looks at the workers
KILLED = 1  # workers that reach their memory limit after which a stage is given up
RESTARTED = "worker-restart-memory"  # the topic of a nanny that kills its worker
LIBRARIES = 300 << 20  # bytes of a worker before it works
LEAST = 64 << 20  # bytes, however small the limit is
SAME = ("distributed", "numpy", "scikit-learn", "scipy", "xgboost")

T = TypeVar("T")


@contextlib.contextmanager
def open_workers(config: EngineConfig) -> Iterator[Workers]:
    """Yield workers: processes started for the block, or a cluster that is left running.

    Raises:
        ShelfmarkError: no scheduler answers, no worker connects, or one has other versions.
    """
    _silence()
    with contextlib.ExitStack() as stack:
        address = config.scheduler or stack.enter_context(_processes(config))
        client = stack.enter_context(_connect(address, config))
        if config.scheduler is None:
            client.register_plugin(_SilencePlugin())
        workers = Workers(client, config)
        workers.wait_until_ready(config.workers or 1)
        threads = sum(client.nthreads().values())
        logger.info("engine: {} workers, {} threads, {}", len(workers.names()), threads, address)
        yield workers


class Workers:
    """The workers of one cluster, through a client."""

    def __init__(self, client: Client, config: EngineConfig) -> None:
        self.client = client
        self.config = config

    def names(self) -> dict[str, Any]:
        """Return the name of each connected worker by its address.

        Raises:
            ShelfmarkError: the scheduler is gone.
        """
        try:
            identities = self.client.sync(self.client.scheduler.identity, n_workers=-1)["workers"]
        except Exception as error:  # its kind depends on what was in flight
            raise ShelfmarkError(f"engine: the scheduler is gone: {line(error)}") from error
        return {address: about["name"] for address, about in identities.items()}

    def memory(self) -> int | None:
        """Return the least memory that a thread of a worker may use, in bytes; None if any."""
        about = self.client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [one["memory_limit"] // one["nthreads"] for one in about if one["memory_limit"]]
        return min(limits, default=None)

    def memory_share(self) -> int:
        """Return how much of it the columns of a merge may take: a quarter of what is free."""
        limit = self.memory()
        return BUDGET if limit is None else max(limit - LIBRARIES, LEAST) // 4

    def require_memory(self, needed: int, what: str) -> None:
        """Check that a worker has the memory that a task needs.

        Args:
            needed: bytes, beside the libraries.
            what: the task, as the subject of a sentence: "fitting low_rank".

        Raises:
            ShelfmarkError: it does not.
        """
        limit = self.memory()
        if limit is not None and needed + LIBRARIES > limit:
            raise ShelfmarkError(
                f"engine: {what} needs {gigabytes(needed + LIBRARIES)}, and a thread of a worker "
                f"may use {gigabytes(limit)}: {self._remedy()}"
            )

    def wait_until_ready(self, count: int) -> None:
        """Wait for a number of workers, and check that all have the versions of this process.

        Raises:
            ShelfmarkError: no worker connects in time, or one has other versions.
        """
        with contextlib.suppress(TimeoutError):
            self.client.wait_for_workers(count, self.config.timeout)
        if not self.names():
            late = f"no worker within engine.timeout={self.config.timeout:g} s"
            raise ShelfmarkError(f"engine: {late}; start some: dask worker SCHEDULER")
        try:
            versions = {"the scheduler": self.client.run_on_scheduler(_versions)}
        except Exception as error:
            raise ShelfmarkError(
                f"engine: the scheduler cannot import it: {line(error)}"
            ) from error
        versions |= self.client.run(_versions, on_error="return")
        ours = _versions()
        for where, theirs in versions.items():
            if not isinstance(theirs, dict):
                raise ShelfmarkError(f"engine: {where} cannot run shelfmark: {line(theirs)}")
            for name, wanted in ours.items():
                if theirs.get(name) != wanted:
                    differs = f"{where} has {name} {theirs.get(name)}, this process {wanted}"
                    raise ShelfmarkError(f"engine: {differs}; install the same everywhere")

    def tracker_host(self) -> str | None:
        """Return the address of XGBoost's tracker: local workers need this machine alone."""
        return "127.0.0.1" if self.config.scheduler is None else None

    def retry_lost_workers(self, stage: str, work: Callable[[], T]) -> T:
        """Call a function, and repeat the call if a worker is lost.

        Raises:
            ShelfmarkError: too many workers were lost, or none came back.
        """
        killed = 0
        for _ in range(LOSSES + 1):
            before, killed_before = set(self.names()), self._count_killed()
            try:
                return work()
            except Exception as error:  # a loss shows as an error of many kinds
                if not self._wait_if_lost(before):
                    raise
                why = ""
                if self._count_killed() > killed_before:
                    killed, why = killed + 1, ": it used more memory than its limit"
                logger.warning(
                    "{}: a worker was lost{}; the stage is repeated by those left", stage, why
                )
                logger.debug("{}: {}", stage, line(error))
                if killed > KILLED:
                    raise ShelfmarkError(
                        f"engine: {stage}: {killed} workers used more memory than their limit: "
                        f"{self._remedy()}"
                    ) from error
                self.wait_until_ready(len(before))
        raise ShelfmarkError(f"engine: {LOSSES + 1} workers were lost; is their memory short?")

    def _count_killed(self) -> int:
        """Return how many workers were killed so far because they reached their memory limit."""
        return len(self.client.get_events(RESTARTED))

    def _remedy(self) -> str:
        """Return how workers are given more memory."""
        local = self.config.scheduler is None
        how = "engine.memory" if local else "--memory-limit of the workers"
        return f"raise {how} or lower features.max_terms"

    def _wait_if_lost(self, before: set[str]) -> bool:
        end = time.monotonic() + NOTICED
        while time.monotonic() < end:
            if before - set(self.names()):
                return True
            time.sleep(POLL_SECONDS)
        return False


@contextlib.contextmanager
def _processes(config: EngineConfig) -> Iterator[str]:
    """Start local workers, which listen on this machine alone, and yield their scheduler."""
    # A paused worker waits until Dask's own data takes less memory, and most of it is other data.
    unpaused = dask.config.set({"distributed.worker.memory.pause": False})
    with unpaused, tempfile.TemporaryDirectory() as folder:
        limit = {} if config.memory is None else {"memory_limit": config.memory}
        with LocalCluster(
            n_workers=config.workers,
            threads_per_worker=config.threads or 1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            local_directory=folder,
            **limit,
        ) as cluster:
            yield cluster.scheduler_address


@contextlib.contextmanager
def _connect(address: str, config: EngineConfig) -> Iterator[Client]:
    timeout = config.timeout
    # Past the scheduler, which is in this process; a scheduler elsewhere may be all we can reach.
    direct = True if config.scheduler is None else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # different versions raise our own error
        try:
            client = Client(address, timeout=timeout, direct_to_workers=direct)
        except (OSError, TimeoutError, ValueError, ImportError) as error:
            late = f"no scheduler answers within engine.timeout={timeout:g} s"
            raise ShelfmarkError(f"engine.scheduler={address}: {late}; is it running?") from error
    with client:
        yield client


class _SilencePlugin(WorkerPlugin):  # type: ignore[misc]
    """Keeps XGBoost's messages about ranks, which bypass Python, off the terminal."""

    def setup(self, worker: Any) -> None:
        """Redirect the streams of each local process, a restarted one too."""
        with Path(os.devnull).open("wb") as nowhere:
            for stream in (1, 2):
                os.dup2(nowhere.fileno(), stream)


def _versions() -> dict[str, str]:
    """Return the versions that must be the same in all processes."""
    python = ".".join(platform.python_version_tuple()[:2])
    ours = {"shelfmark": shelfmark.__version__, "python": python}
    return ours | {name: version(name) for name in SAME}


def _silence() -> None:
    """Silence Dask's logging: what matters is raised or logged by this module."""
    for name in ("distributed", *logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def line(error: object) -> str:
    """Return the first line of an error, or its type if it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
