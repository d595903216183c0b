"""The model that a worker serves, and how all workers switch to another."""

from __future__ import annotations

import asyncio
import contextlib
import os

from loguru import logger

from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.models.registry import Registry
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry
from shelfmark.service.workers.board import Board, Overview, Wanted, WorkerState
from shelfmark.service.workers.failures import (
    Failures,
    Quiet,
    describe_error,
    summarize_error,
)
from shelfmark.service.workers.preload import Preloaded

POLL_SECONDS = 0.5  # between two reads of the model that the workers share
WAIT_SECONDS = 0.1  # between two looks at the other workers while a load waits for them
UNREPORTED_SECONDS = 60.0  # between two warnings that the board cannot be written
UNREADABLE = -1  # in place of the generation of a board that cannot be read


class LoadError(Exception):
    """A version was not loaded.

    Args:
        reason: in words that reveal nothing of the inside.
        retry: whether the same request may succeed later.
    """

    def __init__(self, reason: str, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry


class ModelSlot:
    """Holds the one model that a worker serves.

    A new model replaces the current one only after it has made a prediction. The worker that loads
    it names it on the board; the others poll the board, and workers that start later read it. A
    worker that fails to follow keeps its model, says so on the board, and tries again.

    Args:
        settings: the folder of the models, the version to start with and the runtime folder.
        telemetry: counts the failed attempts to follow.
        registry: opens the models.
        pid: that names this worker to the others.
        preloaded: a model that is open already: its memory is shared with the other workers.
    """

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        registry: Registry | None = None,
        pid: int | None = None,
        preloaded: Preloaded | None = None,
    ) -> None:
        self._pid = os.getpid() if pid is None else pid
        self._registry = registry or Registry(settings.models)
        self._telemetry = telemetry
        self._preloaded = preloaded
        self._load_seconds = settings.load_seconds
        self._board = Board(settings.runtime)
        self._wanted = Wanted(settings.model)
        self._model: Model | None = None
        self._generation = 0  # of the wanted model that this worker serves
        self._failures = Failures()
        self._unreported = Quiet(UNREPORTED_SECONDS)
        self._reported: WorkerState | None = None
        self._lock = asyncio.Lock()  # one model is opened at a time
        self._follower: asyncio.Task[None] | None = None

    @property
    def model(self) -> Model:
        """The model that answers now; set once `start` has returned."""
        assert self._model is not None
        return self._model

    @property
    def state(self) -> WorkerState:
        """What this worker serves."""
        return WorkerState(self._pid, self.model.version, self._generation, self._failures.reason)

    async def start(self) -> None:
        """Open the model that all workers should serve.

        Raises:
            Exception: the board cannot be read or written, or the model does not open.
        """
        wanted = await self._resolve_first()
        while wanted.generation != self._generation:
            self._serve(await self._open(wanted), wanted)
            await self._report()
            # A change before the report is followed now; whoever makes one after it waits for
            # this worker.
            wanted = await self._read_wanted()
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following the other workers."""
        if self._follower is not None:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower

    async def load(self, version: str) -> Overview:
        """Serve another version, here and in all workers.

        Returns when all workers serve it or the time has ended: the overview names those behind.

        Raises:
            LoadError: the version did not open, or the other workers cannot be told, and the
                current one stays in service; or another request has loaded a model meanwhile.
            TimeoutError: the time has ended before this worker serves it.
        """
        deadline = asyncio.get_running_loop().time() + self._load_seconds
        async with asyncio.timeout_at(deadline):
            async with self._lock:
                try:
                    pin = await asyncio.to_thread(self._registry.pin, version)
                    model = await self._open(Wanted(pin.version, digest=pin.digest))
                except Exception as error:
                    logger.warning("load of {}: {}", version, describe_error(error))
                    raise LoadError(
                        f"{version} was not loaded: it {summarize_error(error)}."
                    ) from None
                # What has begun to tell the others is not given up half-way.
                wanted = await asyncio.shield(self._share(pin.version, model))
        return await self._wait_for_workers(wanted, deadline)

    async def overview(self) -> Overview:
        """Return what each worker serves."""
        complete, others = True, []
        try:
            states = await asyncio.to_thread(self._board.workers)
            others = [state for state in states if state.pid != self._pid]
        except (OSError, ShelfmarkError):
            complete = False
        workers = sorted([*others, self.state], key=lambda state: state.pid)
        return Overview(self._wanted, workers, complete)

    async def _resolve_first(self) -> Wanted:
        """Return the wanted model; the first worker that starts resolves its alias for all."""
        async with self._board.lock():
            wanted = await self._read_wanted()
            if wanted.generation == 0:
                # The alias may have moved when a later worker starts.
                if self._preloaded is not None and self._preloaded.name == wanted.version:
                    pin = self._preloaded.pin
                else:
                    pin = await asyncio.to_thread(self._registry.pin, wanted.version)
                wanted = Wanted(pin.version, 1, pin.digest)
                await asyncio.to_thread(self._board.write_wanted, wanted)
            return wanted

    async def _read_wanted(self) -> Wanted:
        if wanted := await asyncio.to_thread(self._board.read_wanted):
            self._wanted = wanted
        return self._wanted

    async def _open(self, wanted: Wanted) -> Model:
        if self._preloaded is not None and self._preloaded.is_wanted(wanted):
            return self._preloaded.model
        return await asyncio.to_thread(self._registry.open, wanted.version, wanted.digest)

    async def _share(self, version: str, model: Model) -> Wanted:
        """Name a version on the board and serve it."""
        try:
            async with self._board.lock():
                generation = (await self._read_wanted()).generation + 1
                wanted = Wanted(version, generation, model.digest)
                await asyncio.to_thread(self._board.write_wanted, wanted)
                self._wanted = wanted
                self._serve(model, wanted)
        except (OSError, ShelfmarkError) as error:
            logger.warning(
                "load of {}: cannot tell the workers: {}", version, describe_error(error)
            )
            reason = f"{version} was not loaded: the workers cannot be told; its log names why."
            raise LoadError(reason, retry=True) from None
        await self._report()
        return wanted

    def _serve(self, model: Model, wanted: Wanted) -> None:
        if wanted.generation >= self._generation:
            self._model, self._generation = model, wanted.generation
            self._failures.clear()
            logger.info("serving {}", model.version)

    async def _wait_for_workers(self, wanted: Wanted, deadline: float) -> Overview:
        loop = asyncio.get_running_loop()
        while True:
            overview = await self.overview()
            if self._wanted.generation > wanted.generation:
                raise LoadError(f"{wanted.version} was replaced by {self._wanted.version}, which "
                                "another request has loaded meanwhile.")  # fmt: skip
            if overview.all_follow or loop.time() >= deadline:
                return overview
            await asyncio.sleep(WAIT_SECONDS)

    async def _follow(self) -> None:
        """Serve what another worker has loaded; try again after a failure."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            async with self._lock:
                await self._follow_once()

    async def _follow_once(self) -> None:
        wanted = Wanted("", UNREADABLE)
        try:
            wanted = await self._read_wanted()
            if wanted.generation == self._generation:
                self._failures.clear()
            elif self._failures.may_try(wanted.generation):
                self._serve(await self._open(wanted), wanted)
        except Exception as error:  # whatever it is, the current model goes on answering
            if self._failures.may_try(wanted.generation):
                self._note_failure(wanted, error)
        await self._report()

    def _note_failure(self, wanted: Wanted, error: Exception) -> None:
        reason = "the shared version cannot be read"
        if wanted.generation != UNREADABLE:
            reason = f"{wanted.version} {summarize_error(error)}"
        pause = self._failures.add(wanted.generation, reason)
        self._telemetry.follow_failures.inc()
        logger.warning("cannot follow the other workers, trying again in {:.0f} s: {} ({})",
                       pause, reason, describe_error(error))  # fmt: skip

    async def _report(self) -> None:
        """Publish what this worker serves if it has changed; later if the board cannot be written.

        Raises:
            ShelfmarkError: the first report cannot be written.
        """
        if self.state == self._reported:
            return
        state = self.state
        try:
            await asyncio.to_thread(self._board.report, state)
            self._reported = state
        except ShelfmarkError as error:
            if self._reported is None:
                raise
            if self._unreported.lets_through():
                logger.warning("cannot report what this worker serves: {}", error)
