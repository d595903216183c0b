"""The terms of a vocabulary as lines of text: a few bytes each, without a Python object."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelfmark.core.arrays import Ints
from shelfmark.tfidf.tokens import Stream, read_lines

_NEWLINE = ord("\n")
_BLOCK = 1 << 20  # bytes whose lines are Python objects at a time
_NO_WORD = (b"", b" ", b"\n")  # at the beginning or the end of the text
# Bytes that a word may not hold here, and words of no bytes.
_UNUSUAL = (b"\0", b"\1", b"  ", b" \n", b"\n ", b"\n\n")


class TermList(Mapping[str, int]):
    """The column of each term, as a dictionary has it, which is made when a term is looked up.

    Args:
        lines: the terms in the order of the columns, UTF-8 with a newline between them, uint8 of
            shape (bytes,).

    Raises:
        UnicodeDecodeError: they are no UTF-8.
    """

    def __init__(self, lines: NDArray[np.uint8]) -> None:
        self.lines = lines
        text = lines.tobytes()
        text.decode()
        self._size = text.count(b"\n") + 1

    @classmethod
    def of(cls, terms: list[str]) -> Mapping[str, int]:
        """Return the columns of distinct terms, as a dictionary if they cannot be lines."""
        try:
            new = cls(np.frombuffer("\n".join(terms).encode(), np.uint8))
        except UnicodeEncodeError:  # half of a pair of surrogates
            new = None
        if new is None or len(new) != len(terms):
            return dict(zip(terms, range(len(terms)), strict=True))
        return new

    def __getstate__(self) -> dict[str, Any]:
        return {"lines": self.lines, "_size": self._size}

    @cached_property
    def _columns(self) -> dict[str, int]:
        terms = self.lines.tobytes().decode().split("\n")
        return dict(zip(terms, range(self._size), strict=True))

    @property
    def get(self) -> Callable[..., Any]:
        """The `get` of the dictionary itself, for speed."""
        return self._columns.get

    def __getitem__(self, term: str) -> int:
        return self._columns[term]

    def __contains__(self, term: object) -> bool:
        return term in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TermList):
            return np.array_equal(self.lines, other.lines)
        return isinstance(other, Mapping) and self._columns == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._columns)

    def names(self, columns: Ints) -> list[str]:
        """Return the terms of some columns, without those of the others."""
        begins, ends = self._bounds[columns].tolist(), self._bounds[columns + 1].tolist()
        pairs = zip(begins, ends, strict=True)
        return [self.lines[begin + 1 : end].tobytes().decode() for begin, end in pairs]

    @cached_property
    def _bounds(self) -> Ints:
        """Where each line begins, less one, and the end of the last, shape (terms + 1,)."""
        return np.concatenate([[-1], np.flatnonzero(self.lines == _NEWLINE), [len(self.lines)]])

    def are_distinct(self) -> bool:
        """Whether no term repeats."""
        text = self.lines.tobytes()
        return _ascend(text) or len(set(text.split(b"\n"))) == self._size

    def split(self) -> Stream | None:
        """Return the words of all terms as a stream; None if not single spaces separate them."""
        text = self.lines.tobytes()
        unusual = text[:1] in _NO_WORD or text[-1:] in _NO_WORD
        if unusual or any(map(text.__contains__, _UNUSUAL)):
            return None
        return read_lines(text)


def _ascend(text: bytes) -> bool:
    """Whether each line is larger than the line before, as those of a sorted vocabulary are."""
    begin, last = 0, None
    while begin <= len(text):
        end = text.find(b"\n", begin + _BLOCK)
        end = len(text) if end < 0 else end
        lines = text[begin:end].split(b"\n")
        if last is not None:
            lines.insert(0, last)
        if not all(map(operator.lt, lines, islice(lines, 1, None))):
            return False
        begin, last = end + 1, lines[-1]
    return True
