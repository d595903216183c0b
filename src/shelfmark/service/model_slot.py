"""Which model a worker serves, and how all workers come to serve another."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from loguru import logger

from shelfmark.errors import ShelfmarkError
from shelfmark.models.artifact import Model
from shelfmark.models.registry import Registry
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry

LOOK_SECONDS = 0.5  # between two looks at what the other workers were told to serve


class Serving:
    """The one model of a worker.

    Another is opened and has made a prediction before it takes the place of the old one. The worker
    that was told of it leaves its name in a file of the `runtime` folder, where the others find it,
    and those that start later.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._registry = Registry(settings.models)
        self._telemetry = telemetry
        self._wanted = settings.model
        self._note: Path | None = settings.runtime and settings.runtime / "version"
        self._model: Model | None = None
        self._one_at_a_time = asyncio.Lock()
        self._follower: asyncio.Task[None] | None = None

    @property
    def model(self) -> Model:
        """The model that answers now."""
        assert self._model is not None
        return self._model

    async def start(self) -> None:
        """Open the first model.

        Raises:
            ShelfmarkError: there is none, or it is damaged.
        """
        noted = self._noted()
        await self._swap(noted or self._wanted)
        if self._note is not None:
            if noted is None:
                self._tell()
            self._follower = asyncio.create_task(self._follow(self._note))

    async def stop(self) -> None:
        """Follow the others no more."""
        if self._follower is not None:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower

    async def load(self, version: str) -> None:
        """Serve another version, here and in all workers.

        Raises:
            ShelfmarkError: there is no such version, or it is damaged; the old one goes on.
        """
        async with self._one_at_a_time:
            await self._swap(version)
            self._tell()

    async def _swap(self, version: str) -> None:
        # An alias may name another tomorrow: a worker that starts then serves what all do.
        version = await asyncio.to_thread(self._registry.resolve, version)
        model = await asyncio.to_thread(self._registry.open, version)
        if self._model is not None:
            self._telemetry.model.labels(self._model.version).set(0)
        self._model, self._wanted = model, version
        self._telemetry.model.labels(model.version).set(1)
        logger.info("serving {}", model.version)

    async def _follow(self, note: Path) -> None:
        """Serve what another worker was told to."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            async with self._one_at_a_time:
                version = self._noted()
                if version is None or version == self._wanted:
                    continue
                try:
                    await self._swap(version)
                except ShelfmarkError as error:
                    self._wanted = version  # once is enough
                    logger.warning("following the other workers: {}", error)

    def _tell(self) -> None:
        if self._note is not None:
            aside = self._note.with_suffix(f".{os.getpid()}")
            aside.write_text(self._wanted, encoding="utf-8")
            aside.replace(self._note)

    def _noted(self) -> str | None:
        with contextlib.suppress(OSError):
            if self._note is not None:
                return self._note.read_text(encoding="utf-8")
        return None
