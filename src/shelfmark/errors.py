"""The errors a user can mend: one line with what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ShelfmarkError(Exception):
    """A mistake in input, configuration or environment; its text is shown without a traceback."""

    def __str__(self) -> str:
        """Return the text on one line; characters that could command a terminal are escaped."""
        text = super().__str__()
        if text.isprintable():
            return text
        return "".join(
            one if one.isprintable() else " " if one.isspace() else ascii(one)[1:-1] for one in text
        )


class OutputClosedError(Exception):
    """The reader of the output has ended, as `head` does: the command then ends in silence."""


def one_line(text: object, most: int = 200) -> str:
    """Return a text, which a file of strangers may have written, on one short line.

    `ShelfmarkError` escapes what is not printable.

    Args:
        text: or an exception, whose type stands for an empty text.
        most: characters.
    """
    line = " ".join(str(text).split())
    if not line and isinstance(text, BaseException):
        line = type(text).__name__
    return line[:most]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what to append to an error about an unknown word: the known one it may have meant."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
