"""The errors a user can mend: one line that says what, where and what to do."""

from __future__ import annotations


class ShelfmarkError(Exception):
    """A mistake in input, configuration or environment; its text is shown without a traceback."""
