"""The rows of a CSV file: only the chosen columns are kept, so that a wide header costs nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.data import readers
from shelfmark.data.csv_rows import open_rows
from shelfmark.data.sources import csv as source
from shelfmark.errors import ShelfmarkError


def rows(path: Path, content: bytes) -> list[tuple[int, dict[str, str | None]]]:
    path.write_bytes(content)
    with open_rows(path, ("id", "text")) as opened:
        return list(opened)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"id,text\n1,a\n2,b\n", [(2, {"id": "1", "text": "a"}), (3, {"id": "2", "text": "b"})]),
        (b"text,other,id\na,b\n", [(2, {"text": "a", "id": None})]),
        (b"id,text\n1,a,more,cells\n", [(2, {"id": "1", "text": "a"})]),
        (b"text,text\nfirst,last\n", [(2, {"text": "last"})]),
        (b"\xef\xbb\xbftext\r\n\r\na\r\n", [(3, {"text": "a"})]),
        (b'text\n"a\nb"\n', [(3, {"text": "a\nb"})]),
        (b"other\n1\n", [(2, {})]),
        (b"\n", []),
    ],
)
def test_rows_hold_the_chosen_columns(
    tmp_path: Path, content: bytes, expected: list[tuple[int, dict[str, str | None]]]
) -> None:
    assert rows(tmp_path / "in.csv", content) == expected


def test_a_header_with_a_cell_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match=r"in\.csv: line \d+: field larger than"):
        rows(tmp_path / "in.csv", b"a" * (1 << 24 | 1) + b"\n")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("width", [10, 1000])
def test_a_record_to_classify_has_no_more_fields_than_are_read(
    tmp_path: Path, suffix: str, width: int
) -> None:
    path = tmp_path / f"in.{suffix}"
    names = ["text", *(f"column{number}" for number in range(width))]
    if suffix == "csv":
        path.write_text(",".join(names) + "\na robot" * 20 + "\n")
    else:
        pq.write_table(pa.table({name: ["a robot"] * 20 for name in names}), path)
    (batch,) = readers.read_batches(str(path))
    assert [record for _, record in batch] == [{"text": "a robot"}] * 20


def test_a_parquet_without_a_text_has_an_error_for_each_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"other": [1, 2]}), tmp_path / "in.parquet")
    (batch,) = readers.read_batches(str(tmp_path / "in.parquet"))
    errors = [readers.parse_record(*record) for record in batch]
    assert errors == [
        readers.InvalidRecord(line, "no text: give text, or title and abstract") for line in (1, 2)
    ]


def test_a_source_has_no_more_fields_than_it_reads(tmp_path: Path) -> None:
    more = [f"column{number}" for number in range(1000)]
    (tmp_path / "in.csv").write_text(",".join([*more, *source.COLUMNS]) + "\n1\n2\n")
    records = [record for _, record in source.read_records(tmp_path / "in.csv")]
    assert records == [dict.fromkeys(source.COLUMNS)] * 2
