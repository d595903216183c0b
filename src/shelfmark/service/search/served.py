"""The indexes that requests use: the current one, and older ones until no request uses them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from loguru import logger

from shelfmark.search.index import Index
from shelfmark.service.workers.failures import describe_error


class ServedIndex:
    """An opened index, and how many requests use it.

    Args:
        index: opened, and searched once.
        manifest: the state of its manifest, by which a change is noticed.
        indexes: that it belongs to.
    """

    def __init__(self, index: Index, manifest: object, indexes: ServedIndexes) -> None:
        self.index = index
        self.manifest = manifest
        self.uses = 0
        self._indexes = indexes

    def acquire(self) -> None:
        """Keep the index open until `release`."""
        self.uses += 1

    def release(self) -> None:
        """End a use."""
        self.uses -= 1
        self._indexes.close_unused()

    def about(self) -> dict[str, Any]:
        """Return what answers say of the index: its generation, its papers and its encoder."""
        index = self.index
        return {
            "generation": index.generation,
            "papers": index.papers,
            "encoder": index.encoder.name,
        }


class ServedIndexes:
    """The current index, and the older ones that requests still use; for the event loop alone.

    States of an index share segments with the next one. So they are closed in their order, each
    without what the next one has open.
    """

    def __init__(self) -> None:
        self.current: ServedIndex | None = None
        self._older: deque[ServedIndex] = deque()

    def replace(self, index: Index, manifest: object) -> None:
        """Let new requests use another index."""
        self.retire()
        self.current = ServedIndex(index, manifest, self)
        self.close_unused()

    def retire(self) -> None:
        """Let no new request use the current index."""
        if self.current is not None:
            self._older.append(self.current)
            self.current = None

    def close_unused(self) -> None:
        """Close the older indexes that no request uses, up to the first that one does."""
        while self._older and not self._older[0].uses:
            oldest = self._older.popleft()
            after = self._older[0] if self._older else self.current
            # In a thread: to unmap gigabytes takes milliseconds.
            asyncio.get_running_loop().run_in_executor(
                None, _close, oldest.index, after.index if after else None
            )


def _close(index: Index, after: Index | None) -> None:
    try:
        index.close(after)
    except Exception as error:
        logger.warning("an index that is no longer served does not close: {}",
                       describe_error(error))  # fmt: skip
