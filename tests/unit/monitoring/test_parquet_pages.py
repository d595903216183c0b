"""The pages of a Parquet file: none that unpacks to more than is allowed is unpacked."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.monitoring.parquet_pages import Limits, check_pages

LIMITS = Limits(size=1 << 20, values=10_000)


def written(column: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"column": column}), file, compression="zstd", **options)
    return file.getvalue()


def check(content: bytes, limits: Limits = LIMITS) -> None:
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        check_pages(memoryview(content), file.metadata, limits)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([], pa.string()),
        pa.array(["a", None, "é" * 50] * 100),
        pa.array([[1, 2], [], None, [3]] * 100, pa.list_(pa.uint16())),
        np.arange(9000.0),
        pa.array([True, False]),
    ],
)
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_within_the_limits_pass(column: Any, dictionary: bool) -> None:
    check(written(column, use_dictionary=dictionary))
    check(written(column, use_dictionary=dictionary, data_page_size=100, row_group_size=50))


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (["a" * (2 << 20)], "unpacks to more than 1,048,576 bytes"),
        (pa.array([[0] * 20_000], pa.list_(pa.uint16())), "has 20,000 values, at most 10,000"),
    ],
)
def test_a_column_of_a_few_bytes_that_unpacks_to_many_is_refused(column: Any, problem: str) -> None:
    content = written(column)
    assert len(content) < 2000
    with pytest.raises(ValueError, match=problem):
        check(content)


def test_a_footer_that_says_less_than_the_pages_is_noticed() -> None:
    content = written(pa.array([[0] * 9000], pa.list_(pa.uint16())))
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    nine_thousand, fewer = bytes([0xD0, 0x8C, 0x01]), bytes([0xD0, 0x8C, 0x00])  # in Thrift's form
    changed = content[:footer] + content[footer:].replace(nine_thousand, fewer)
    with pytest.raises(ValueError, match="more values than it says"):
        check(changed)


@pytest.mark.parametrize(
    "options",
    [
        {"data_page_version": "2.0"},
        {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
    ],
)
def test_other_pages_and_encodings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a page is of the kind 3|another encoding"):
        check(written(["abc"] * 9, **options))


def test_damaged_headers_are_refused_in_one_line() -> None:
    content = written(["abc", "abd"] * 50)
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        metadata = file.metadata
    refused = 0
    for place in range(4, metadata.row_group(0).column(0).total_compressed_size + 4):
        for value in (0, 0xFF, content[place] ^ 0x10):
            changed = bytearray(content)
            changed[place] = value
            try:
                check_pages(memoryview(changed), metadata, LIMITS)
            except ValueError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 20
