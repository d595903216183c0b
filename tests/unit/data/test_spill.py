"""Rows on disk between the passes of the preparation."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.arxiv.text import join_texts
from shelfmark.data import spill
from shelfmark.data.spill import SpillReader

ROWS = [
    pa.record_batch({"id": [f"{i}-{number}" for i in range(size)], "title": ["é"] * size})
    for number, size in enumerate([3, 0, 500])
]


def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    places = [spill.write_rows(tmp_path, rows) for rows in ROWS]
    assert len({place.file for place in places}) == 1
    with SpillReader(tmp_path) as reader:
        for number in (2, 0, 1, 2):
            assert reader.read(places[number]).equals(ROWS[number])


def test_rows_of_several_processes_lie_in_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    for number, rows in enumerate(ROWS):
        monkeypatch.setattr(spill.os, "getpid", lambda number=number: number)
        places += [spill.write_rows(tmp_path, rows), spill.write_rows(tmp_path, rows)]
    assert len({place.file for place in places}) == len(ROWS)
    with SpillReader(tmp_path) as reader:
        for number, place in enumerate(places):
            assert reader.read(place).equals(ROWS[number // 2])
    (tmp_path / "train.parquet").touch()
    spill.remove_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3))))
def test_texts_are_joined_as_each_is(papers: list[tuple[str, str]]) -> None:
    safe = [tuple(x.encode("utf-8", "replace").decode() for x in paper) for paper in papers]
    titles, abstracts = (pa.array([paper[i] for paper in safe], pa.string()) for i in (0, 1))
    joined = spill.join_columns(titles, abstracts)
    assert joined.to_pylist() == [join_texts(*paper) for paper in safe]
