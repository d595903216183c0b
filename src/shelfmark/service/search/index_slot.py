"""The index of papers that a worker serves, and how it follows the changes of the index."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from dataclasses import dataclass
from typing import Any, Literal

from loguru import logger

from shelfmark.embeddings.artifact import OpenEncoder
from shelfmark.search.index import Index
from shelfmark.search.manifest import manifest_state
from shelfmark.service.limits.bodies import RETRY
from shelfmark.service.responses import RefusedError
from shelfmark.service.search import opening
from shelfmark.service.search.served import ServedIndex, ServedIndexes
from shelfmark.service.settings import Settings
from shelfmark.service.telemetry import Telemetry
from shelfmark.service.workers.failures import Failures, describe_error, summarize_error

POLL_SECONDS = 1.0  # between two looks at the manifest
STOP_SECONDS = 0.25  # for an index that is being opened when the service stops
NO_INDEX = (
    "The service has no index of papers: shelfmark index makes one, in the folder that "
    "SHELFMARK_INDEX names."
)
NO_ENCODER = (
    "The service has no encoder: shelfmark train-encoder makes one, in the folder that "
    "SHELFMARK_ENCODERS names."
)
OPENING = "The index of papers is being opened; ask again."
Status = Literal["unknown", "none", "loading", "ready", "failed"]


@dataclass(frozen=True)
class IndexState:
    """What a worker serves of the index.

    Args:
        status: `unknown` before the first look at the folder, `none` without an index, `failed` if
            no index could be opened so far.
        served: the index that answers, as its answers name it.
        problem: why the index as it is now is not served; empty if it is.
    """

    status: Status
    served: dict[str, Any] | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any] | None:
        """Return the state as responses show it, None without an index."""
        if self.status in ("unknown", "none"):
            return None
        state = {"status": self.status, **(self.served or {})}
        return {**state, "problem": self.problem} if self.problem else state


class IndexSlot:
    """Holds the one index that a worker serves; each worker follows the manifest by itself.

    A changed index replaces the current one only after it has answered a search. One that does not
    open is tried again; the current one serves on. The encoder of an index that has not changed it
    stays open.

    Args:
        settings: the folders of the index and of the encoders.
        telemetry: counts the replacements and the failures.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._indexes = ServedIndexes()
        self._status: Status = "unknown"
        self._failures = Failures()
        self._stopping = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._encoder: asyncio.Task[OpenEncoder] | None = None
        self._encoder_failures = Failures()

    @property
    def state(self) -> IndexState:
        """What this worker serves."""
        about = None if self._indexes.current is None else self._indexes.current.about()
        return IndexState(self._status, about, self._failures.reason)

    def start(self) -> None:
        """Open the index in the background, and follow its changes."""
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following, and close the index once no request uses it."""
        self._stopping.set()
        if self._follower is not None:
            await asyncio.wait([self._follower], timeout=STOP_SECONDS)
            self._follower.cancel()
        if self._encoder is not None:
            self._encoder.cancel()
        self._indexes.retire()
        self._indexes.close_unused()

    def require_index(self) -> ServedIndex:
        """Return the index that answers.

        Raises:
            RefusedError: 404, there is no index; 503, it is being opened or cannot be opened.
        """
        if self._indexes.current is not None:
            return self._indexes.current
        if self._status == "none":
            raise RefusedError(404, NO_INDEX)
        if self._status == "failed":
            raise RefusedError(503, f"The index of papers {self._failures.reason}.", RETRY)
        raise RefusedError(503, OPENING, RETRY)

    async def require_encoder(self) -> OpenEncoder:
        """Return the encoder of the index, or without an index the one of the settings.

        That one is opened for the first request that needs it.

        Raises:
            RefusedError: 404, there is no encoder; 503, it cannot be opened.
        """
        if self._indexes.current is not None:
            return self._indexes.current.index.encoder
        if not self._settings.encoder and self._status != "none":
            self.require_index()
        if self._encoder is None:
            if not await asyncio.to_thread(opening.has_encoder, self._settings):
                raise RefusedError(404, NO_ENCODER)
            if not self._encoder_failures.may_try(""):
                raise RefusedError(503, f"The encoder {self._encoder_failures.reason}.", RETRY)
            if self._encoder is None:  # no other request has begun meanwhile
                self._encoder = asyncio.create_task(self._open_encoder())
        return await asyncio.shield(self._encoder)

    def _current_encoder(self) -> OpenEncoder | None:
        """Return the encoder that is open."""
        if self._indexes.current is not None:
            return self._indexes.current.index.encoder
        opened = self._encoder
        ended = opened is not None and opened.done() and not opened.cancelled()
        return opened.result() if opened is not None and ended else None

    async def _open_encoder(self) -> OpenEncoder:
        try:
            return await asyncio.to_thread(opening.open_encoder, self._settings)
        except Exception as error:
            self._encoder = None
            reason = summarize_error(error)
            self._encoder_failures.add("", reason)
            logger.warning("the encoder does not open: {}", describe_error(error))
            raise RefusedError(503, f"The encoder {reason}.", RETRY) from None

    async def _follow(self) -> None:
        """Serve the index as it is now; try again after a failure."""
        while not self._stopping.is_set():
            await self._follow_once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._stopping.wait()

    async def _follow_once(self) -> None:
        manifest = await asyncio.to_thread(manifest_state, self._settings.index)
        if self._indexes.current is None and manifest is None:
            self._status = "none"
            self._note_success()
        elif self._indexes.current is not None and manifest == self._indexes.current.manifest:
            self._note_success()
        elif self._failures.may_try(manifest):
            await self._replace(manifest)

    async def _replace(self, manifest: object) -> None:
        """Open the index, and serve it in place of the current one."""
        if self._status in ("unknown", "none"):
            self._status = "loading"
        before = None if self._indexes.current is None else self._indexes.current.index
        try:
            index = await asyncio.to_thread(
                opening.open_index, self._settings, before, self._current_encoder()
            )
        except Exception as error:  # whatever it is, the current index goes on answering
            self._note_failure(manifest, error)
        else:
            self._serve(index, manifest)

    def _serve(self, index: Index, manifest: object) -> None:
        first = self._indexes.current is None
        self._indexes.replace(index, manifest)
        if first:  # not at each change: what is frozen as garbage would never be freed
            gc.freeze()  # or each collection walks through the encoder and its libraries
        self._status = "ready"
        self._encoder = None
        self._note_success()
        self._telemetry.count_index(index.papers, index.generation)
        logger.info("serving the index of {:,} papers, generation {}, encoder {}",
                    index.papers, index.generation, index.encoder.name)  # fmt: skip

    def _note_success(self) -> None:
        self._failures.clear()
        self._telemetry.index_failing.set(0)

    def _note_failure(self, manifest: object, error: Exception) -> None:
        if self._indexes.current is None:
            self._status = "failed"
        pause = self._failures.add(manifest, summarize_error(error))
        self._telemetry.index_failing.set(1)
        self._telemetry.index_failures.inc()
        kept = "" if self._indexes.current is None else ", the one before serves on"
        logger.warning("the index does not open{}, trying again in {:.0f} s: {}",
                       kept, pause, describe_error(error))  # fmt: skip
