"""The number of values in the JSON of a request, counted before it is parsed."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.service.limits.json_input import check_values, count_values, parse_json
from shelfmark.service.messages import InvalidFieldError

TEXTS = st.text(st.sampled_from('ab"\\,[{}]:\n\u00e9'))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=40,
)


def values_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + sum(map(values_of, inner))


@given(JSON, st.booleans())
def test_no_value_is_missed_and_no_text_is_counted(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    count = values_of(value)
    assert count <= count_values(body, 10_000) <= 2 * count
    assert parse_json(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5000,
        b"[" + b"[]," * 5000 + b"[]]",
        b"{" + b",".join(b'"k%d":0' % number for number in range(5000)) + b"}",
        b"[" + b'"\\\\",' * 5000 + b"0]",
        b"[" + b'"\\"",' * 5000 + b"0]",
        b'["' + b'","' * 5000 + b'"]',
        b'["\\\\"' + b",0" * 5000 + b"]",
    ],
    ids=lambda body: body[:12].decode(),
)
def test_many_values_are_refused_before_they_are_parsed(body: bytes) -> None:
    with pytest.raises(InvalidFieldError) as error:
        check_values(body, 1000)
    assert error.value.problem == "should have at most 1,000 values"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"text": "\xff"}', "should be UTF-8, but has the byte 0xFF at 10"),
        ('{"text": "Poincaré"}'.encode("latin-1"), "should be UTF-8, but has the byte 0xE9 at 17"),
        ('{"text": "a"}'.encode("utf-16"), "should be UTF-8, not UTF-16 or UTF-32"),
        ('{"text": "a"}'.encode("utf-16-be"), "should be UTF-8, not UTF-16 or UTF-32"),
        ('{"text": "a"}'.encode("utf-16-le"), "should be UTF-8, not UTF-16 or UTF-32"),
        ('{"text": "a"}'.encode("utf-32"), "should be UTF-8, not UTF-16 or UTF-32"),
        ('{"text": "a"}'.encode("utf-32-be"), "should be UTF-8, not UTF-16 or UTF-32"),
        (gzip.compress(b'{"text": "a"}', mtime=0), "is gzip, but Content-Encoding does not say so"),
        (b'{"top_k": NaN}', "has NaN, which is not JSON"),
        (b'{"top_k": [-Infinity]}', "has -Infinity, which is not JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "has too many levels"),
        (b'{"top_k": ' + b"9" * 5000 + b"}", "has a number of too many digits"),
    ],
)
def test_what_no_parser_takes_is_named(body: bytes, problem: str) -> None:
    with pytest.raises(InvalidFieldError) as error:
        parse_json(body)
    assert (error.value.field, error.value.problem) == ("body", problem)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"text": "a robot", "text": "a galaxy"}', "text"),
        (b'{"papers": [{"text": "a"}, {"id": "1", "text": "a", "id": "2"}]}', "id"),
        (b'{"text": 1, "te\\u0078t": 1}', "text"),
    ],
)
def test_a_key_that_is_given_twice_is_named(body: bytes, field: str) -> None:
    with pytest.raises(InvalidFieldError) as error:
        parse_json(body)
    assert (error.value.field, error.value.problem) == (field, "is given twice")


def test_the_byte_order_mark_of_utf_8_is_accepted() -> None:
    assert parse_json('{"text": "é"}'.encode("utf-8-sig")) == {"text": "é"}


def test_a_text_of_punctuation_is_one_value() -> None:
    text = '",[{}]:\\' * 5000
    check_values(json.dumps({"text": text}).encode(), 2)
