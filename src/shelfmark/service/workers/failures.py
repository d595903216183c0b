"""Failures that are tried again: when, and in which words."""

from __future__ import annotations

import time

from shelfmark.errors import ShelfmarkError

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds


class Failures:
    """The consecutive failures of one action, each followed by a longer pause.

    Args:
        first: pause after the first failure, in seconds; each further one is twice as long.
        longest: the longest pause.
    """

    def __init__(self, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> None:
        self._first, self._longest = first, longest
        self._purpose: object = None
        self._count = 0
        self._until = 0.0
        self.reason = ""  # of the last failure, empty without one

    def may_try(self, purpose: object) -> bool:
        """Whether the pause has ended, or the action has another purpose than what failed."""
        return purpose != self._purpose or time.monotonic() >= self._until

    def add(self, purpose: object, reason: str) -> float:
        """Count a failure, and return the seconds until the next attempt."""
        self._count = self._count + 1 if purpose == self._purpose else 1
        self._purpose, self.reason = purpose, reason
        pause = min(self._first * 2.0 ** min(self._count - 1, 30), self._longest)
        self._until = time.monotonic() + pause
        return pause

    def clear(self) -> None:
        """Forget the failures after a success."""
        self._purpose, self._count, self.reason = None, 0, ""


class Quiet:
    """Lets a repeated message through once in a while.

    Args:
        seconds: between two messages.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def lets_through(self) -> bool:
        """Whether the message is due; if so, the next one is not for a while."""
        now = time.monotonic()
        if now < self._until:
            return False
        self._until = now + self._seconds
        return True


def describe_error(error: BaseException) -> str:
    """Return an exception as one line for the log."""
    line = " ".join(str(error).split())
    if isinstance(error, ShelfmarkError):
        return line
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def summarize_error(error: BaseException) -> str:
    """Return why a model did not open, in words that reveal nothing of the inside."""
    if isinstance(error, ShelfmarkError):
        return "is missing, damaged or does not fit this version; the log names the reason"
    return f"failed to open with {type(error).__name__}"
