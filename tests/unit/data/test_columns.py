"""The columns of a table: only those that are read are kept; a wide header costs nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.data import readers
from shelfmark.data.sources import csv as source
from shelfmark.errors import ShelfmarkError


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("width", [10, 1000])
def test_a_record_to_classify_has_no_more_fields_than_are_read(
    tmp_path: Path, suffix: str, width: int
) -> None:
    path = tmp_path / f"in.{suffix}"
    names = ["text", *(f"column{number}" for number in range(width))]
    if suffix == "csv":
        path.write_text(",".join(names) + f"\na robot{',' * width}" * 20 + "\n")
    else:
        pq.write_table(pa.table({name: ["a robot"] * 20 for name in names}), path)
    (batch,) = readers.read_batches(str(path))
    assert [record for _, record in batch] == [{"text": "a robot"}] * 20


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_without_a_text_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.{suffix}"
    if suffix == "csv":
        path.write_text("other,more\n1,2\n")
    else:
        pq.write_table(pa.table({"other": [1, 2], "more": [1, 2]}), path)
    with pytest.raises(ShelfmarkError) as caught:
        list(readers.read_batches(str(path)))
    assert str(caught.value) == (
        f"{path}: has no column text, title, abstract or summary, only other, more"
    )


def test_a_source_has_no_more_fields_than_it_reads(tmp_path: Path) -> None:
    more = [f"column{number}" for number in range(1000)]
    (tmp_path / "in.csv").write_text(",".join([*more, *source.COLUMNS]) + "\n" + "," * 1004 + "x\n")
    records = [record for _, record in source.read_records(tmp_path / "in.csv")]
    assert records == [dict.fromkeys(source.COLUMNS, "") | {"summary": "x"}]
