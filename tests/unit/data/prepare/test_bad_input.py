"""A bad file, record or path is one line with the reason, and leaves nothing on the disk."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.config.schema import Config
from shelfmark.data import prepare
from shelfmark.data.prepare import prepare_splits
from shelfmark.errors import ShelfmarkError
from tests.support.packing import PACKERS, zipped
from tests.support.prepared import adds_up, labels_of, refused
from tests.support.records import WORDS, halves, lines, made

GOOD = lines(halves(600))
TABLE = pa.BufferOutputStream()
pq.write_table(pa.Table.from_pylist([orjson.loads(line) for line in GOOD.splitlines()]), TABLE)
PARQUET = TABLE.getvalue().to_pybytes()
CSV = "id,title,category_code,published_date,summary\n" + "".join(
    f"1501.{i:05d}v1,Title {i},{('cs.AI', 'hep-th')[i % 2]},1/{1 + i % 28}/15,Text {i}{WORDS}\n"
    for i in range(600)
)
BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    **{
        f"truncated {suffix[1:]}": (
            f"a.json{suffix}",
            pack(GOOD)[:-900],
            f"a.json{suffix}: damaged or truncated",
        )
        for suffix, pack in PACKERS.items()
    },
    "zip of several": (
        "a.zip",
        zipped(GOOD, GOOD),
        "a.zip: holds 2 files (0.json, 1.json), one is needed",
    ),
    "zip of none": ("a.zip", zipped(), "a.zip: holds 0 files"),
    "empty file": ("a.json", b"", "data.path: "),
    "blank lines": ("a.json", b"\n\n\n", "a.json: holds no papers"),
    "broken lines": ("a.json", GOOD + b'{"id": "15\n' * 9, "a.json: line 601: broken JSON: "),
    "text": ("a.txt", b"a robot\n", "a.txt: seems to be lines of text; data=snapshot reads JSON"),
    "a picture": ("a.json", b"\x89PNG\r\n", "a.json: seems to be an image"),
    "damaged Parquet": ("a.parquet", PARQUET[:9000], "a.parquet: not a readable Parquet file"),
    "CSV without a column": ("a.csv", CSV.replace("summary", "spam", 1).encode(), ""),
    "truncated CSV": ("a.csv.gz", gzip.compress(CSV.encode())[:-900], "a.csv.gz: damaged or"),
    "CSV of a header": ("a.csv", CSV.splitlines()[0].encode(), "a.csv: holds no papers"),
    "CSV of JSON": ("a.csv", GOOD, "a.csv: seems to be JSON; data=csv reads a table"),
}


def source_of(name: str) -> dict[str, str]:
    return {"source": "csv" if ".csv" in name else "snapshot"}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    settings: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    name, content, reason = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(content)
    line = refused(settings(path, **source_of(name)), capsys)
    assert str(path) in line
    assert reason in line


BAD_RECORDS: dict[str, tuple[Any, str]] = {
    "no object": (["spam"], "not an object but list"),
    "missing field": ({"id": "1501.00001"}, "field 'title' is missing"),
    "wrong type": (made(1, id=1501.00001), "field 'id' is float, not text"),
    "wrong type of comments": (made(1, comments=[]) | {"comments": [1]}, "'comments' is list"),
    "unknown category": (made(1, "spam"), "unknown category 'spam'"),
    "no identifier": (made(1, id="spam"), "not an arXiv identifier: 'spam'"),
    "no date": (made(1, versions=[]), "field 'versions' holds no date of the first version"),
}


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_a_bad_record_past_the_share_names_file_line_and_reason(
    tmp_path: Path,
    settings: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    bad, reason = BAD_RECORDS[case]
    path = tmp_path / "papers of mine.json"
    path.write_bytes(GOOD + lines([bad]))
    line = refused(settings(path, max_bad=0), capsys)
    assert line.startswith(f"error: {path}: line 601: ")
    assert reason in line
    assert line.endswith("1 of 601 records broken, more than data.max_bad=0 allows")


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_a_bad_record_within_the_share_is_counted_and_skipped(
    tmp_path: Path, settings: Callable[..., Config], case: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(GOOD + lines([BAD_RECORDS[case][0]]) * 6)
    prepared = prepare_splits(settings(path))
    assert prepared.card["dropped"] == {"broken": 6}
    assert prepared.card["kept"] == 600
    assert adds_up(prepared.card)


def test_a_whole_csv_is_prepared_like_a_snapshot(
    tmp_path: Path, settings: Callable[..., Config]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV, encoding="utf-8")
    prepared = prepare_splits(settings(path, source="csv"))
    assert prepared.card["kept"] == 600
    assert labels_of(prepared) == ["cs.AI", "hep-th"]
    assert prepared.card["submitted"] == {"first": "2015-01-01", "last": "2015-01-28"}


def test_a_path_that_is_not_there_a_folder_or_not_given(
    tmp_path: Path, settings: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = tmp_path / "nothing.json"
    assert refused(settings(nothing), capsys) == f"error: data.path: there is no file {nothing}"
    (folder := tmp_path / "empty").mkdir()
    line = f"error: data.path: no file of papers lies in {folder}"
    assert refused(settings(folder), capsys) == line
    assert "data.path is not set" in refused(settings(None), capsys)


def test_a_data_folder_that_cannot_be(
    tmp_path: Path, snapshot_file: Path, settings: Callable[..., Config]
) -> None:
    (tmp_path / "data").write_text("a file in the folder's place")
    with pytest.raises(ShelfmarkError, match="cannot write"):
        prepare_splits(settings(snapshot_file))
    assert (tmp_path / "data").read_text() == "a file in the folder's place"


def test_papers_that_the_disk_does_not_hold_are_refused_before_they_are_read(
    tmp_path: Path,
    settings: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepare, "DISK_FOR_TEXT", 1e15)
    # The last line is no JSON: its error comes later.
    (path := tmp_path / "a.json").write_bytes(GOOD + b"spam\n" * 300)
    line = refused(settings(path), capsys)
    assert line.startswith("error: making the splits needs about ")
    assert line.endswith("free some, or choose a folder on another disk")
