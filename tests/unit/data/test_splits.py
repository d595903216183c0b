"""Splits: a paper's place depends on itself alone, and a split's bytes on its rows alone."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfmark.config.load import load_config
from shelfmark.config.schema import DataConfig
from shelfmark.core import files
from shelfmark.data.splits import (
    CARD,
    ROW_GROUP,
    SCHEMA,
    SPLITS,
    SplitWriter,
    assign_split,
    open_splits,
)
from shelfmark.errors import ShelfmarkError

DAY = date(2015, 6, 1)


@pytest.fixture(scope="module")
def by_hash() -> DataConfig:
    return load_config().data


@pytest.fixture(scope="module")
def by_time() -> DataConfig:
    cuts = ["data.cuts.validation=2016-01-01", "data.cuts.test=2017-01-01"]
    return load_config(["data.split=time", *cuts]).data


@functools.cache
def rows(count: int, start: int = 0) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "id": f"1501.{i:05d}",
                "title": f"Title {i}",
                "abstract": f"Abstract {i} é",
                "text": f"Title {i}\nAbstract {i} é",
                "label": "cs.AI",
                "categories": ["cs.AI", "cs.CL"][: 1 + i % 2],
                "submitted": DAY + timedelta(days=i % 900),
            }
            for i in range(start, start + count)
        ],
        schema=SCHEMA,
    )


def write(path: Path, tables: Sequence[pa.Table]) -> bytes:
    with SplitWriter(path) as writer:
        for table in tables:
            writer.add(table)
    return path.read_bytes()


IDS = st.from_regex(r"[0-9]{4}\.[0-9]{5}|[a-z]{2,8}/[0-9]{7}", fullmatch=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(IDS, st.dates(), st.dates())
def test_the_day_has_no_say_in_a_split_by_hash(
    by_hash: DataConfig, ident: str, one: date, other: date
) -> None:
    assert assign_split(by_hash, ident, one) == assign_split(by_hash, ident, other)


def test_places_are_the_same_for_ever(by_hash: DataConfig) -> None:
    wanted = {
        "0704.0001": "train",
        "2101.12345": "train",
        "0704.0005": "validation",
        "0704.0011": "validation",
        "0704.0003": "test",
        "hep-th/9901012": "test",
    }
    assert {ident: assign_split(by_hash, ident, DAY) for ident in wanted} == wanted


def test_other_fractions_move_only_what_they_must(by_hash: DataConfig) -> None:
    smaller = load_config(
        ["data.fractions.train=0.7", "data.fractions.validation=0.2", "data.fractions.test=0.1"]
    ).data
    moves = Counter(
        (assign_split(by_hash, f"{i}", DAY), assign_split(smaller, f"{i}", DAY))
        for i in range(5000)
    )
    changed = {pair for pair in moves if pair[0] != pair[1]}
    assert changed == {("train", "validation")}


def test_shares_come_close_to_the_fractions(by_hash: DataConfig) -> None:
    number = 50_000
    counts = Counter(assign_split(by_hash, f"1501.{i:06d}", DAY) for i in range(number))
    wanted = {"train": 0.8, "validation": 0.1, "test": 0.1}
    for split, share in wanted.items():
        assert counts[split] / number == pytest.approx(share, abs=0.005)


def test_label_shares_of_each_split_are_those_of_the_whole(by_hash: DataConfig) -> None:
    labels = 7
    counts: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
    for i in range(100_000):
        counts[assign_split(by_hash, f"{1000 + i // 9999}.{i % 9999:05d}", DAY)][i % labels] += 1
    for split in SPLITS:
        for label in range(labels):
            share = counts[split][label] / counts[split].total()
            assert share == pytest.approx(1 / labels, abs=0.01)


@pytest.mark.parametrize(
    ("day", "split"),
    [
        (date(1991, 8, 1), "train"),
        (date(2015, 12, 31), "train"),
        (date(2016, 1, 1), "validation"),
        (date(2016, 12, 31), "validation"),
        (date(2017, 1, 1), "test"),
        (date(2030, 1, 1), "test"),
    ],
)
def test_a_split_by_time_cuts_at_the_first_day(by_time: DataConfig, day: date, split: str) -> None:
    assert assign_split(by_time, "any", day) == split


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dates(), min_size=2))
def test_no_later_paper_is_split_before_an_earlier_one(
    by_time: DataConfig, days: list[date]
) -> None:
    places = [SPLITS.index(assign_split(by_time, "any", day)) for day in sorted(days)]
    assert places == sorted(places)


@pytest.mark.parametrize("sizes", [[20_000], [1, 19_999], [4096] * 4 + [3616], [0, 20_000, 0]])
def test_what_is_written_reads_back_in_order(tmp_path: Path, sizes: list[int]) -> None:
    whole = rows(20_000)
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    write(tmp_path / "a.parquet", [whole.slice(*part) for part in zip(starts, sizes, strict=True)])
    assert pq.read_table(tmp_path / "a.parquet", schema=SCHEMA).equals(whole)


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    tables = [rows(4096, start) for start in range(0, 20_480, 4096)]
    assert write(tmp_path / "a.parquet", tables) == write(tmp_path / "b.parquet", tables)


def test_rows_are_grouped_and_compressed_by_zstd(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [rows(4096, start) for start in range(0, 20_480, 4096)])
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        assert file.schema_arrow.equals(SCHEMA)
        assert file.metadata.num_rows == 20_480
        assert file.metadata.row_group(0).num_rows == ROW_GROUP
        groups = range(file.metadata.num_row_groups)
        columns = [file.metadata.row_group(g).column(c) for g in groups for c in range(7)]
    assert {column.compression for column in columns} == {"ZSTD"}


def test_a_failure_is_not_hidden_by_the_thread_that_writes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), SplitWriter(tmp_path / "a.parquet") as writer:
        writer.add(rows(ROW_GROUP))
        _ = 1 / 0
    with pytest.raises(ValueError, match="Schema"), SplitWriter(tmp_path / "b.parquet") as writer:
        writer.add(rows(ROW_GROUP).select(["id"]))


def test_a_split_of_nothing_is_still_a_table(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [])
    assert pq.read_table(tmp_path / "a.parquet").schema.equals(SCHEMA)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, split in enumerate(SPLITS, 1):
        write(tmp_path / f"{split}.parquet", [rows(number)])
    (tmp_path / CARD).write_bytes(orjson.dumps({"kept": 6}))
    return tmp_path


def test_splits_are_opened_from_their_folder(folder: Path) -> None:
    splits = open_splits(folder)
    assert splits.card == {"kept": 6}
    assert [splits.read(split).num_rows for split in SPLITS] == [1, 2, 3]
    assert splits.read("test", ["label", "text"]).column_names == ["label", "text"]
    assert splits.digest == files.sha256(folder / CARD)


def test_a_split_there_is_not(folder: Path) -> None:
    with pytest.raises(ShelfmarkError, match="no split 'valid'; there are train, validation, test"):
        open_splits(folder).read("valid")


@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "other"])
def test_a_damaged_split_names_file_and_remedy(folder: Path, damage: str) -> None:
    path = folder / "train.parquet"
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"cut": content[:-100], "empty": b"", "other": b"text" * 99}[damage])
    with pytest.raises(ShelfmarkError, match=r"cannot read .*train\.parquet") as caught:
        open_splits(folder).read("train")
    assert f"remove {folder} and run shelfmark data again" in str(caught.value)


def test_a_folder_without_a_card_holds_no_splits(folder: Path) -> None:
    (folder / CARD).unlink()
    with pytest.raises(ShelfmarkError, match="make them with shelfmark data"):
        open_splits(folder)


@pytest.mark.parametrize("card", [b"", b'{"kept": 6'])
def test_a_damaged_card_names_the_folder_to_remove(folder: Path, card: bytes) -> None:
    (folder / CARD).write_bytes(card)
    with pytest.raises(ShelfmarkError, match=r"card\.json is damaged: remove ") as caught:
        open_splits(folder)
    assert f"remove {folder} and run shelfmark data again" in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("name", [CARD, "train.parquet"])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_pipe_or_a_folder_is_not_waited_for(folder: Path, name: str, kind: str) -> None:
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    with pytest.raises(ShelfmarkError, match="not a regular file|a folder"):
        open_splits(folder).read("train")
