"""Papers to classify: standard input as it arrives, and the names of fields."""

from __future__ import annotations

import os
import sys
from typing import Any

import orjson
import pytest

from shelfmark.data import readers
from shelfmark.errors import ShelfmarkError


def test_a_line_is_given_out_before_the_next_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as standard_input, os.fdopen(writing, "wb", buffering=0) as typed:
        monkeypatch.setattr(sys, "stdin", standard_input)
        batches = readers.read_batches("-")
        typed.write(b"a robot\na gal")
        assert next(batches) == [(1, {"text": "a robot\n"})]
        typed.write(b'axy\n{"text": 1}')
        assert next(batches) == [(2, {"text": "a galaxy\n"})]
        typed.close()
        assert list(batches) == [[(3, b'{"text": 1}')]]


def test_many_lines_come_in_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as standard_input, os.fdopen(writing, "wb") as typed:
        monkeypatch.setattr(sys, "stdin", standard_input)
        typed.write(b"a\n" * 5000)
        typed.close()
        batches = list(readers.read_batches("-"))
    assert max(map(len, batches)) <= readers.BATCH
    assert [line for batch in batches for line, _ in batch] == list(range(1, 5001))


def test_a_standard_input_that_fails_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        with pytest.raises(ShelfmarkError, match="standard input: "):
            list(readers.read_batches("-"))


@pytest.mark.parametrize(
    "record",
    [
        {"ID": " 1 ", "Title": "a robot", "ABSTRACT": "its arm"},
        {"id": "1", "Title": "a robot", "abstract": "its arm", "Text": ""},
        {" id": 1, "title ": "a robot", "Summary": "its arm", "other": 2},
    ],
)
def test_names_of_fields_are_compared_as_those_of_columns(record: dict[str, Any]) -> None:
    read = readers.parse_record(1, orjson.dumps(record))
    assert read == readers.InputRecord(1, "1", "a robot", "its arm")


def test_two_fields_of_one_name_are_refused() -> None:
    read = readers.parse_record(1, {"title": "a robot", "Title": "a galaxy", "abstract": "an arm"})
    assert isinstance(read, readers.InvalidRecord)
    assert "two fields of one name" in read.error


def test_a_text_of_invisible_characters_alone_is_no_text() -> None:
    read = readers.parse_record(1, {"text": "\u200b\u00ad", "title": "\ufeff"})
    assert isinstance(read, readers.InvalidRecord)
    assert readers.parse_record(1, {"text": "\u200b", "abstract": "an arm"}) == (
        readers.InputRecord(1, None, "", "an arm")
    )
