"""The memory that bodies and unsent answers may occupy in a worker."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 1.0  # before a client that is slow to send or to receive may be closed


class MemoryBudget:
    """Counts the bytes of bodies and unsent answers, and makes room for new ones.

    A share that waits for its client, to send a body or to receive an answer, is closed when its
    memory is needed, the oldest first. So clients that stall do not keep others out for long.

    Args:
        limit: most bytes of all shares together.
        patience: seconds for which a share is never closed.
    """

    def __init__(self, limit: int, patience: float = PATIENCE_SECONDS) -> None:
        self.limit = limit
        self.patience = patience
        self.used = 0
        self._waiting: dict[MemoryShare, None] = {}  # the oldest first

    def share(self, close: Callable[[], None]) -> MemoryShare:
        """Return an empty share, which waits for its client.

        Args:
            close: ends the wait for the client, when the memory is needed.
        """
        share = MemoryShare(self, close)
        self._waiting[share] = None
        return share

    def make_room(self, count: int, newcomer: MemoryShare) -> bool:
        """Close waiting shares, the oldest first, and return whether `count` bytes are free."""
        while self.used + count > self.limit:
            oldest = next((share for share in self._waiting if share.held), None)
            if oldest is None or oldest is newcomer or oldest.age() < self.patience:
                return False
            oldest.release()
            oldest.close()
        return True

    def forget(self, share: MemoryShare) -> None:
        """Never close a share, because it no longer waits for its client."""
        self._waiting.pop(share, None)


class MemoryShare:
    """The part of the budget that one body or one unsent answer occupies."""

    def __init__(self, budget: MemoryBudget, close: Callable[[], None]) -> None:
        self.close = close
        self.held = 0
        self._budget = budget
        self._started = time.monotonic()

    def age(self) -> float:
        """Return the seconds since the share was created."""
        return time.monotonic() - self._started

    def try_grow(self, count: int) -> bool:
        """Add bytes to the share if the budget has room for them; return whether it has."""
        fits = self._budget.make_room(count, self)
        if fits:
            self.grow(count)
        return fits

    def grow(self, count: int) -> None:
        """Add bytes to the share that are in memory already."""
        self.held += count
        self._budget.used += count

    def keep(self) -> None:
        """Keep the bytes until `release`, because the share no longer waits for its client."""
        self._budget.forget(self)

    def release(self) -> None:
        """Return all bytes to the budget."""
        self._budget.forget(self)
        self._budget.used -= self.held
        self.held = 0
