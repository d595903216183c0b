"""The model that a worker serves, and how all workers switch to another."""

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

POLL_SECONDS = 0.5  # between two reads of the version that the workers share


class ModelSlot:
    """Holds the one model that a worker serves.

    A new model replaces the current one only after it has made a prediction. The worker that loads
    it writes its version to a file in the `runtime` folder; the other workers poll that file, and
    workers that start later read it.

    Args:
        settings: the folder of the models, the version to start with and the runtime folder.
        telemetry: whose gauge names the version.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._registry = Registry(settings.models)
        self._telemetry = telemetry
        self._version = settings.model
        self._shared_file: Path | None = settings.runtime and settings.runtime / "version"
        self._model: Model | None = None
        self._lock = asyncio.Lock()
        self._follower: asyncio.Task[None] | None = None

    @property
    def model(self) -> Model:
        """The model that answers now; set once `start` has returned."""
        assert self._model is not None
        return self._model

    async def start(self) -> None:
        """Open the first model.

        Raises:
            ShelfmarkError: the model is missing or damaged.
        """
        shared = self._read_shared_version()
        await self._replace(shared or self._version)
        if self._shared_file is not None:
            if shared is None:
                self._share_version()
            self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following the other workers."""
        if self._follower is not None:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower

    async def load(self, version: str) -> None:
        """Serve another version, here and in all workers.

        Raises:
            ShelfmarkError: the version is missing or damaged; the current one stays in service.
        """
        async with self._lock:
            await self._replace(version)
            self._share_version()

    async def _replace(self, version: str) -> None:
        # Share the version, not its alias: the alias may have moved when a later worker starts.
        version = await asyncio.to_thread(self._registry.resolve, version)
        model = await asyncio.to_thread(self._registry.open, version)
        if self._model is not None:
            self._telemetry.model.labels(self._model.version).set(0)
        self._model, self._version = model, version
        self._telemetry.model.labels(model.version).set(1)
        logger.info("serving {}", model.version)

    async def _follow(self) -> None:
        """Load the version that another worker has loaded."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            async with self._lock:
                version = self._read_shared_version()
                if version is None or version == self._version:
                    continue
                try:
                    await self._replace(version)
                except ShelfmarkError as error:
                    self._version = version  # do not try it again
                    logger.warning("following the other workers: {}", error)

    def _share_version(self) -> None:
        if self._shared_file is not None:
            aside = self._shared_file.with_suffix(f".{os.getpid()}")
            aside.write_text(self._version, encoding="utf-8")
            aside.replace(self._shared_file)

    def _read_shared_version(self) -> str | None:
        with contextlib.suppress(OSError):
            if self._shared_file is not None:
                return self._shared_file.read_text(encoding="utf-8")
        return None
