"""JSON that is no JSON lines: arrays and indented values, each value as its bytes."""

from __future__ import annotations

import io
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.core.formats import json_values
from shelfmark.core.formats.json_values import JsonValues
from shelfmark.core.formats.streams import Stream
from shelfmark.errors import ShelfmarkError

LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.text('ab"\\[]{},: \n\u20ac')
VALUES = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text("ab]"), x, max_size=3)
)
RECORDS = st.lists(st.dictionaries(st.text('a"}'), VALUES, max_size=3), max_size=5)


class Pieces(io.BytesIO):
    """A file that gives some bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read1(self, size: int | None = -1) -> bytes:
        return super().read1(self._size)


def values(content: bytes, size: int = 1 << 20) -> list[tuple[int, bytes]]:
    return list(JsonValues(Stream(Pieces(content, size), "a.json", sized=False)))


@given(records=RECORDS, indent=st.sampled_from([None, 0, 2]), size=st.integers(1, 9))
def test_an_array_gives_its_values(records: list[Any], indent: int | None, size: int) -> None:
    written = json.dumps(records, indent=indent, ensure_ascii=False).encode()
    assert [orjson.loads(value) for _, value in values(written, size)] == records


@given(records=RECORDS, indent=st.sampled_from([0, 2]), size=st.integers(1, 9))
def test_values_one_after_the_other(records: list[Any], indent: int, size: int) -> None:
    written = "\n".join(json.dumps(record, indent=indent) for record in records).encode()
    assert [orjson.loads(value) for _, value in values(written, size)] == records


def test_values_have_numbers() -> None:
    assert values(b'[\n{"a":\n1}\n,\n\n{"b": "]"}]', 3) == [(1, b'{"a":\n1}'), (2, b'{"b": "]"}')]
    assert [number for number, _ in values(b"{\n}\n{\n}\n{}", 2)] == [1, 2, 3]


def test_several_arrays_one_after_the_other() -> None:
    """As pages of an interface are saved."""
    assert [value for _, value in values(b'[{"a": 1}]\n[]\n[{"b": 2}]')] == [
        b'{"a": 1}',
        b'{"b": 2}',
    ]


def test_a_broken_value_is_given_and_those_behind_it_are() -> None:
    assert [value for _, value in values(b'[{"a": }, {"b": 1}]')] == [b'{"a": }', b'{"b": 1}']


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'[{"a": 1},\n{"b": 2', "line 2: a bracket is opened and not closed"),
        (b'[{"a": 1}', "line 1: a bracket is opened and not closed"),
        (b'[\n"a text]', "line 1: a bracket is opened and not closed"),
        (b'[{"a": 1}]]', "line 1: a bracket is closed that was not opened"),
        (b'[{"a": 1} {"b": 2}]', "line 1: 'nothing' stands where ',' should be"),
        (b'[{"a": 1},\n 7,\n {"b": 2}]', "line 1: ',\\\\n 7,' stands where ',' should be"),
        (b"[\n1, 2]", "line 1: '1, 2' stands where 'an object' should be"),
        (b'[{"a": 1}] spam', "line 1: 'spam' stands where 'an object' should be"),
    ],
)
def test_what_stands_between_values_is_no_value(content: bytes, problem: str) -> None:
    with pytest.raises(ShelfmarkError, match=f"^a.json: {problem}"):
        values(content)


def test_a_value_without_an_end_is_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "LONGEST", 1 << 12)
    monkeypatch.setattr(json_values, "CHUNK", 1 << 10)
    with pytest.raises(ShelfmarkError, match="line 1: a value has more than 4,096 bytes"):
        values(b'{"a": "' + b"x" * 10_000, 1 << 10)


def test_brackets_in_brackets_are_counted_not_nested() -> None:
    ((_, value),) = values(b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", 1 << 12)
    assert not json_values.is_json(value)
