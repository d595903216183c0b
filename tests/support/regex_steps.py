"""Count the steps of a regular expression: a backtracking matcher in Python, as `re` is one in C.

It reads the tree into which `re` parses a pattern, and tries the same alternatives in the same
order, so that the number of its tests of a character grows as that of `re` does.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

Then = Callable[[int], int | None]  # from a place on: where the match ends, None if it fails
Match = Callable[[int, Then], int | None]

IGNORED = re.compile("").flags  # of every pattern of text
ASSERTIONS = {
    codes.AT_BEGINNING: r"\A",
    codes.AT_BEGINNING_STRING: r"\A",
    codes.AT_BOUNDARY: r"\b",
    codes.AT_NON_BOUNDARY: r"\B",
    codes.AT_END: r"(?=\n?\Z)",
    codes.AT_END_STRING: r"\Z",
}
CLASSES = {
    codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_NOT_DIGIT: r"\D",
    codes.CATEGORY_SPACE: r"\s", codes.CATEGORY_NOT_SPACE: r"\S",
    codes.CATEGORY_WORD: r"\w", codes.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


class CountedPattern:
    """A compiled pattern whose steps are counted in `steps`."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.flags = pattern.flags
        self.steps = 0
        self.text = ""
        tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
        self._match = self._sequence(list(tree))

    def find_all(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of all matches, as `finditer` does, and count the steps."""
        self.text = text
        spans, start = [], 0
        with _deep_recursion():
            while start <= len(text):
                end = self._match(start, lambda place: place)
                if end is not None:
                    spans.append((start, end))
                start = start + 1 if end in (None, start) else end
        return spans

    def _sequence(self, nodes: list[Any]) -> Match:
        match: Match = lambda place, then: then(place)  # noqa: E731
        for operation, argument in reversed(nodes):
            match = self._joined(self._node(operation, argument), match)
        return match

    def _joined(self, first: Match, rest: Match) -> Match:
        return lambda place, then: first(place, lambda middle: rest(middle, then))

    def _node(self, operation: Any, argument: Any) -> Match:
        if operation in (codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN):
            return self._one(self._test(operation, argument))
        if operation is codes.SUBPATTERN:
            return self._sequence(list(argument[3]))
        if operation is codes.BRANCH:
            return self._branch([self._sequence(list(branch)) for branch in argument[1]])
        if operation in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            return self._repeat(operation, *argument)
        if operation is codes.ATOMIC_GROUP:
            return self._atomic(self._sequence(list(argument)))
        if operation in (codes.ASSERT, codes.ASSERT_NOT):
            return self._look(operation is codes.ASSERT, *argument)
        assert operation is codes.AT, operation
        return self._at(argument)

    def _one(self, test: Callable[[str], bool]) -> Match:
        def match(place: int, then: Then) -> int | None:
            self.steps += 1
            if place < len(self.text) and test(self.text[place]):
                return then(place + 1)
            return None

        return match

    def _test(self, operation: Any, argument: Any) -> Callable[[str], bool]:
        if operation is codes.ANY:
            return (lambda _: True) if self.flags & re.DOTALL else (lambda sign: sign != "\n")
        if operation is codes.LITERAL:
            source = re.escape(chr(argument))
        elif operation is codes.NOT_LITERAL:
            source = f"[^{re.escape(chr(argument))}]"
        else:
            source = f"[{''.join(self._set(argument))}]"
        match = re.compile(source, self.flags & (re.IGNORECASE | re.ASCII)).match
        known: dict[str, bool] = {}
        return lambda sign: known.setdefault(sign, bool(match(sign)))

    def _set(self, items: Any) -> Iterator[str]:
        for operation, argument in items:
            if operation is codes.NEGATE:
                yield "^"
            elif operation is codes.LITERAL:
                yield re.escape(chr(argument))
            elif operation is codes.RANGE:
                yield "-".join(re.escape(chr(end)) for end in argument)
            else:
                yield CLASSES[argument]

    def _branch(self, branches: list[Match]) -> Match:
        def match(place: int, then: Then) -> int | None:
            ends = (branch(place, then) for branch in branches)
            return next((end for end in ends if end is not None), None)

        return match

    def _repeat(self, operation: Any, least: int, most: int, item: Any) -> Match:
        once = self._sequence(list(item))

        def match(place: int, then: Then, count: int = 0) -> int | None:
            def again(after: int) -> int | None:
                return None if after == place else match(after, then, count + 1)

            more = (lambda: once(place, again)) if count < most else (lambda: None)
            stop = (lambda: then(place)) if count >= least else (lambda: None)
            first, second = (stop, more) if operation is codes.MIN_REPEAT else (more, stop)
            end = first()
            return second() if end is None else end

        return self._atomic(match) if operation is codes.POSSESSIVE_REPEAT else match

    def _atomic(self, inner: Match) -> Match:
        def match(place: int, then: Then) -> int | None:
            end = inner(place, lambda after: after)
            return None if end is None else then(end)

        return match

    def _look(self, wanted: bool, direction: int, item: Any) -> Match:
        inner = self._sequence(list(item))
        width = item.getwidth()[1] if direction < 0 else 0

        def match(place: int, then: Then) -> int | None:
            start = place - width
            found = start >= 0 and inner(start, lambda after: after) is not None
            return then(place) if found is wanted else None

        return match

    def _at(self, where: Any) -> Match:
        if where is codes.AT_BEGINNING and self.flags & re.MULTILINE:
            source = r"(?m:^)"
        elif where is codes.AT_END and self.flags & re.MULTILINE:
            source = r"(?m:$)"
        else:
            source = ASSERTIONS[where]
        pattern = re.compile(source, self.flags & re.ASCII)

        def match(place: int, then: Then) -> int | None:
            self.steps += 1
            return then(place) if pattern.match(self.text, place) else None

        return match


def count_steps(pattern: re.Pattern[str], text: str) -> int:
    """Return how many tests it takes to find all matches of a pattern in a text."""
    counted = CountedPattern(pattern)
    counted.find_all(text)
    return counted.steps


@contextmanager
def _deep_recursion() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
