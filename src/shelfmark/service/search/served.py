"""An index that requests use: it is closed once another one has replaced it and they have ended."""

from __future__ import annotations

import asyncio
from typing import Any

from loguru import logger

from shelfmark.search.index import Index
from shelfmark.service.workers.failures import describe_error


class ServedIndex:
    """An opened index, and how many requests use it; the event loop alone changes the number.

    Args:
        index: opened, and searched once.
        manifest: the state of its manifest, by which a change is noticed.
    """

    def __init__(self, index: Index, manifest: object) -> None:
        self.index = index
        self.manifest = manifest
        self._uses = 0
        self._retired = False

    def acquire(self) -> None:
        """Keep the index open until `release`."""
        self._uses += 1

    def release(self) -> None:
        """End a use; the last one of a retired index closes it."""
        self._uses -= 1
        self._close_if_unused()

    def retire(self) -> None:
        """Close the index as soon as no request uses it."""
        self._retired = True
        self._close_if_unused()

    def about(self) -> dict[str, Any]:
        """Return what answers say of the index: its generation, its papers and its encoder."""
        index = self.index
        return {
            "generation": index.generation,
            "papers": index.papers,
            "encoder": index.encoder.name,
        }

    def _close_if_unused(self) -> None:
        if self._retired and not self._uses:
            # In a thread: to unmap gigabytes takes milliseconds.
            asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        try:
            self.index.close()
        except Exception as error:
            logger.warning("an index that is replaced does not close: {}", describe_error(error))
