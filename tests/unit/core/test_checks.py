"""Checks of values from files: exact types, ranges and lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shelfmark.core import checks
from shelfmark.core.checks import Check


class Text(str):
    """A string with a behaviour of its own."""


NUMBERS = checks.array(np.float32, 1)
STEPS = checks.steps([("a", checks.boolean)], [("a", checks.boolean), ("b", checks.nothing)])


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (checks.integer(1, 3), [1, 3], [0, 4, 1.0, True, None, "1", np.int64(1)]),
        (checks.number(0, 1), [0, 0.5, 1], [-0.1, 2, float("nan"), True, np.float64(0.5), "0"]),
        (checks.number(), [1e300], [float("inf"), -float("inf")]),
        (checks.boolean, [True, False], [0, None]),
        (checks.nothing, [None], [0, False]),
        (checks.string(3), ["", "abc"], ["abcd", Text("a"), b"a", None]),
        (checks.one_of(None, "a", 1), [None, "a", 1], ["b", True, 1.0, Text("a")]),
        (checks.optional(checks.integer()), [None, 2], ["2"]),
        (checks.items(checks.integer(), most=2), [[], [1, 2]], [[1, 2, 3], (1,), ["1"]]),
        (checks.items(checks.integer(), tuple), [(), (1,)], [[1]]),
        (
            checks.mapping(checks.integer(), 1),
            [{}, {"a": 1}],
            [{1: 1}, {"a": "b"}, {"a": 1, "b": 2}],
        ),
        (checks.pair(checks.integer(), checks.string()), [(1, "a")], [(1,), [1, "a"], ("a", 1)]),
        (checks.instance(Text), [Text("a")], ["a"]),
        (STEPS, [[("a", True)], [("a", True), ("b", None)]], [[], [("b", None)], [("a", 1)], None]),
        (
            NUMBERS,
            [np.zeros(0, "f4"), np.ones(2, "f4")],
            [np.ones(2), np.ones((1, 1), "f4"), [1.0]],
        ),
        (NUMBERS, [np.full(2, 1e6, "f4")], [np.array([x], "f4") for x in (np.nan, np.inf, 2e6)]),
    ],
)
def test_a_check_takes_what_it_describes_alone(
    check: Check, right: list[Any], wrong: list[Any]
) -> None:
    for value in right:
        check(value)
    for value in wrong:
        with pytest.raises(ValueError, match="^should "):
            check(value)


def test_shapes_and_ranges() -> None:
    checks.require_shape("a", np.zeros((2, 3)), (2, 3))
    checks.require_range("a", [0, 2], 0, 2)
    checks.require_range("a", np.zeros(0, int), 0, -1)
    with pytest.raises(ValueError, match=r"should be a of shape \(2,\), is \(3,\)"):
        checks.require_shape("a", np.zeros(3), (2,))
    for values in ([-1], [3], np.array([0, 3])):
        with pytest.raises(ValueError, match="should be a with values from 0 to 2"):
            checks.require_range("a", values, 0, 2)
