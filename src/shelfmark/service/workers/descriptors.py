"""What an event loop logs while the system has no descriptor or memory for a connection."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

from loguru import logger

from shelfmark.service.workers.failures import Quiet

# With these errors, asyncio accepts no connection for a second, then tries again.
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
QUIET_SECONDS = 1.0


class LoopErrors:
    """Handles the exceptions of an event loop: those of exhausted descriptors once a second.

    asyncio reports each connection that waits, which are thousands of tracebacks a second.
    """

    def __init__(self) -> None:
        self._quiet = Quiet(QUIET_SECONDS)

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an exception."""
        error = context.get("exception")
        if isinstance(error, ValueError) and "_start_serving" in context["message"]:
            return  # its pause ends after the server has closed, once for each such report
        if not (isinstance(error, OSError) and error.errno in EXHAUSTED):
            loop.default_exception_handler(context)
        elif self._quiet.lets_through():
            logger.warning("new connections wait: {} ({})", error.strerror, context["message"])
