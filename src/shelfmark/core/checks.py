"""Checks of values that come from a file: each raises ValueError unless the value is as it should.

They compare exact types, so that no subclass with a behaviour of its own passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Check = Callable[[Any], None]
State = Mapping[str, Check]  # the check of each attribute of an object

MOST = 2**31 - 1
LARGEST = 1e6  # of a float: sums of products of three, over any text, stay finite in 32 bits
MANY = 100_000  # entries of a list, unless the check names another number


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"should be {what}")


def integer(least: int = 0, most: int = MOST) -> Check:
    """Return a check for an int from `least` to `most`."""
    what = f"an integer from {least} to {most}"
    return lambda value: _require(type(value) is int and least <= value <= most, what)


def number(least: float = -math.inf, most: float = math.inf) -> Check:
    """Return a check for a finite number from `least` to `most`."""

    def check(value: Any) -> None:
        fits = type(value) in (int, float) and math.isfinite(value) and least <= value <= most
        _require(fits, f"a finite number from {least} to {most}")

    return check


def boolean(value: Any) -> None:
    """Check for True or False."""
    _require(type(value) is bool, "true or false")


def nothing(value: Any) -> None:
    """Check for None."""
    _require(value is None, "None")


def string(most: int = 200) -> Check:
    """Return a check for a str of at most so many characters."""
    return lambda value: _require(
        type(value) is str and len(value) <= most, f"a string of at most {most} characters"
    )


def one_of(*values: Any) -> Check:
    """Return a check for one of some values, of the same type."""
    return lambda value: _require(
        any(type(value) is type(one) and value == one for one in values),
        f"one of {', '.join(map(repr, values))}",
    )


def either(*checks: Check) -> Check:
    """Return a check for values that pass at least one of some checks."""

    def check(value: Any) -> None:
        reasons = []
        for each in checks:
            try:
                return each(value)
            except ValueError as error:
                reasons.append(str(error).removeprefix("should be "))
        raise ValueError(f"should be {' or '.join(reasons)}")

    return check


def optional(inner: Check) -> Check:
    """Return a check for None or a value that passes a check."""
    return either(nothing, inner)


def items(
    inner: Check, kind: type[list[Any]] | type[tuple[Any, ...]] = list, most: int = MANY
) -> Check:
    """Return a check for a list, or a tuple, whose items all pass a check."""

    def check(value: Any) -> None:
        fits = type(value) is kind and len(value) <= most
        _require(fits, f"a {kind.__name__} of at most {most} items")
        for item in value:
            inner(item)

    return check


def mapping(inner: Check, most: int = MANY) -> Check:
    """Return a check for a dict of strings to values that pass a check."""

    def check(value: Any) -> None:
        fits = type(value) is dict and len(value) <= most and set(map(type, value)) <= {str}
        _require(fits, f"a dict of at most {most} strings to values")
        for item in value.values():
            inner(item)

    return check


def steps(*alternatives: Sequence[tuple[str, Check]]) -> Check:
    """Return a check for a list of pairs of a name and a part, with the names of one alternative.

    Args:
        alternatives: each a sequence of names, with the check of the part of that name.
    """

    def check(value: Any) -> None:
        pairs = type(value) is list and all(type(x) is tuple and len(x) == 2 for x in value)
        _require(pairs, "a list of pairs")
        names = [name for name, _ in value]
        for alternative in alternatives:
            if names == [name for name, _ in alternative]:
                for (_, part), (_, inner) in zip(value, alternative, strict=True):
                    inner(part)
                return
        wanted = " or ".join(repr([name for name, _ in one]) for one in alternatives)
        raise ValueError(f"should have the names {wanted}")

    return check


def pair(first: Check, second: Check) -> Check:
    """Return a check for a tuple of two values, each with a check."""

    def check(value: Any) -> None:
        _require(type(value) is tuple and len(value) == 2, "a pair")
        first(value[0])
        second(value[1])

    return check


def instance(*kinds: type) -> Check:
    """Return a check for an object of exactly one of some classes."""
    names = " or ".join(kind.__name__ for kind in kinds)
    return lambda value: _require(type(value) in kinds, f"a {names}")


def array(dtype: Any, dimensions: int, least: float = -LARGEST, most: float = LARGEST) -> Check:
    """Return a check for an array of a type and a number of dimensions.

    Its floats are finite, from `least` to `most`.
    """
    wanted = np.dtype(dtype)

    def check(value: Any) -> None:
        fits = type(value) is np.ndarray and value.dtype == wanted and value.ndim == dimensions
        _require(fits, f"a {wanted} array of {dimensions} dimensions")
        if wanted.kind == "f" and value.size:
            # NaN, which minimum and maximum then are too, is between no two numbers.
            within = value.min() >= least and value.max() <= most
            _require(bool(within), f"an array of numbers from {least:g} to {most:g}")

    return check


def require_shape(name: str, value: np.ndarray[Any, Any], shape: tuple[int, ...]) -> None:
    """Check the shape of an array.

    Raises:
        ValueError: it has another.
    """
    _require(value.shape == shape, f"{name} of shape {shape}, is {value.shape}")


def require_range(name: str, values: Any, least: int, most: int) -> None:
    """Check that all integers of an array or a list are from `least` to `most`.

    Raises:
        ValueError: one is not.
    """
    given = np.asarray(values)
    if given.size:
        fits = least <= int(given.min()) and int(given.max()) <= most
        _require(fits, f"{name} with values from {least} to {most}")
