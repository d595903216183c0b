"""The same papers make the same bytes, on every machine, and other papers make other bytes."""

from __future__ import annotations

import gzip
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.config.schema import Config
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import CARD, SPLITS, Splits
from shelfmark.errors import ShelfmarkError
from tests.support.prepared import PAPERS, contents, prepare_elsewhere
from tests.support.records import lines, made, record


def test_what_fits_is_not_written_again(
    snapshot_file: Path, settings: Callable[..., Config], tmp_path: Path
) -> None:
    first = prepare_splits(settings(snapshot_file))
    before = {file: file.stat().st_mtime_ns for file in first.folder.iterdir()}
    moved = tmp_path / "elsewhere.json"
    moved.write_bytes(snapshot_file.read_bytes())
    again = prepare_splits(settings(moved))
    assert again.folder == first.folder
    assert {file: file.stat().st_mtime_ns for file in first.folder.iterdir()} == before


def test_other_papers_or_settings_are_other_splits(
    snapshot_file: Path, settings: Callable[..., Config], tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(snapshot_file.read_bytes() + lines([made(1, "cs.CL")]))
    folders = [
        prepare_splits(settings(snapshot_file)).folder,
        prepare_splits(settings(other)).folder,
        prepare_splits(settings(snapshot_file, min_words=21)).folder,
        prepare_splits(settings(snapshot_file, level="group")).folder,
    ]
    assert len(set(folders)) == 4
    assert all((folder / CARD).exists() for folder in folders)


def test_a_folder_in_the_way_is_not_touched(
    snapshot_file: Path, settings: Callable[..., Config]
) -> None:
    folder = prepare_splits(settings(snapshot_file)).folder
    (folder / CARD).unlink()
    left = contents(folder)
    with pytest.raises(ShelfmarkError, match="exists already"):
        prepare_splits(settings(snapshot_file))
    assert contents(folder) == left


def test_every_run_makes_the_same_bytes(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits
) -> None:
    again = prepare_splits(settings(snapshot_file))
    assert again.folder != splits.folder
    assert again.folder.name == splits.folder.name
    assert contents(again.folder) == contents(splits.folder)


def test_every_packing_makes_the_same_splits(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits, tmp_path: Path
) -> None:
    table = pa.Table.from_pylist([record(paper) for paper in PAPERS])
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(snapshot_file.read_bytes()))
    for name in ("a.parquet", "a.json.gz"):
        packed = prepare_splits(settings(tmp_path / name))
        for split in SPLITS:
            assert packed.card["files"] == splits.card["files"]
            assert packed.read(split).equals(splits.read(split))


@pytest.mark.usefixtures("shared")
def test_several_processes_make_the_same_bytes(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits
) -> None:
    assert contents(prepare_splits(settings(snapshot_file)).folder) == contents(splits.folder)
    assert multiprocessing.active_children() == []


def test_the_hash_seed_changes_no_byte(
    snapshot_file: Path, settings: Callable[..., Config], splits: Splits, tmp_path: Path
) -> None:
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    run = prepare_elsewhere(
        "prepare.prepare_splits(settings)", settings(snapshot_file), tmp_path, PYTHONHASHSEED=seed
    )
    _, stderr = run.communicate()
    assert (run.returncode, stderr) == (0, "")
    assert contents(tmp_path / splits.folder.name) == contents(splits.folder)
