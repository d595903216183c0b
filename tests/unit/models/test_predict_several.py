"""Predictions of several files: each names its file, and one file is answered as ever."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from shelfmark.cli.predict import predict as command
from shelfmark.data import batches, readers
from shelfmark.errors import ShelfmarkError
from shelfmark.models import predict
from tests.support import records

ROBOT = "We train a robot arm for grasping with motion planning."
GALAXY = "Star formation and dust in a galaxy with a massive halo."


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "models" / "quick"


@pytest.fixture
def named(tmp_path: Path) -> list[str]:
    """Two files of which the second has a newer record of a paper, and one that is none."""
    (tmp_path / "in").mkdir()
    old = [{"id": "0704.0001", "text": ROBOT}, {"id": "x", "text": GALAXY}]
    new = [{"id": "0704.0001v2", "text": GALAXY}, {"id": "y"}, {"text": ROBOT}]
    parts = {"a.jsonl": old, "b.jsonl": new}
    return [str(records.write(tmp_path / "in" / name, part)) for name, part in parts.items()]


def answered(folder: Path, source: Any, out: Path) -> list[dict[str, Any]]:
    predict.predict_file(folder, source, str(out))
    return [orjson.loads(line) for line in out.read_bytes().splitlines()]


def test_each_line_names_its_file_and_its_line_there(
    folder: Path, tmp_path: Path, named: list[str], log: Callable[[], str]
) -> None:
    out = tmp_path / "out.jsonl"
    given = answered(folder, named, out)
    assert [(one["file"], one["line"], one.get("id")) for one in given] == [
        (named[0], 2, "x"), (named[1], 1, "0704.0001v2"), (named[1], 2, "y"), (named[1], 3, None),
    ]  # fmt: skip
    assert [one.get("category") for one in given] == ["astro-ph.GA", "astro-ph.GA", None, "cs.RO"]
    assert "1 of 5 records in 2 files left out" in log()
    for same in (str(tmp_path / "in"), f"{tmp_path}/in/*", f"[{','.join(named)}]"):
        assert answered(folder, same, out) == given


def test_but_for_the_file_the_answers_are_those_of_each_file_alone(
    folder: Path, tmp_path: Path, named: list[str]
) -> None:
    alone = [
        {"file": name, **line} for name in named for line in answered(folder, name, tmp_path / "o")
    ]
    assert answered(folder, named, tmp_path / "out.jsonl") == alone[1:]


def test_one_file_gives_the_same_bytes_however_it_is_named(
    folder: Path, tmp_path: Path, named: list[str]
) -> None:
    out = tmp_path / "out.jsonl"
    contents = set()
    for source in (
        named[0],
        [named[0]],
        [named[0], named[0]],
        f"[{named[0]}]",
        f"{tmp_path}/in/a*",
    ):
        assert not [line for line in answered(folder, source, out) if "file" in line]
        contents.add(out.read_bytes())
    assert len(contents) == 1


def test_tables_have_a_column_of_the_file(folder: Path, tmp_path: Path, named: list[str]) -> None:
    wanted = [named[0], *[named[1]] * 3]
    predict.predict_file(folder, named, str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == wanted
    predict.predict_file(folder, named, str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet")["file"].to_pylist() == wanted
    predict.predict_file(folder, named[0], str(tmp_path / "out.csv"))
    assert not (tmp_path / "out.csv").read_text().startswith("file")


def test_several_processes_answer_the_same(
    folder: Path, tmp_path: Path, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = answered(folder, named, tmp_path / "alone.jsonl")
    monkeypatch.setattr(readers, "BATCH", 1)
    monkeypatch.setattr(batches, "WORTH_DISTRIBUTING", 2)
    assert answered(folder, named, tmp_path / "shared.jsonl") == alone


def test_the_summary_names_the_file(folder: Path, tmp_path: Path, named: list[str]) -> None:
    summary = predict.predict_file(folder, named, str(tmp_path / "out.jsonl"))
    with pytest.raises(ShelfmarkError) as caught:
        summary.require_papers()
    assert f"1 of 4 records hold no paper, the first in {named[1]}, line 2: no text" in str(
        caught.value
    )


def test_none_of_the_files_is_written_to(folder: Path, tmp_path: Path, named: list[str]) -> None:
    before = Path(named[1]).read_bytes()
    for source in (named, str(tmp_path / "in"), f"{tmp_path}/in/*.jsonl"):
        with pytest.raises(ShelfmarkError, match="--out: .*b.jsonl is the file that is read"):
            predict.predict_file(folder, source, named[1])
    assert Path(named[1]).read_bytes() == before


def test_the_option_is_given_several_times(folder: Path, tmp_path: Path, named: list[str]) -> None:
    out = tmp_path / "out.jsonl"
    words = ["--model", folder.name, "--models", str(folder.parent), "--out", str(out)]
    CliRunner().invoke(command, ["--file", named[0], "--file", named[1], *words])
    assert [orjson.loads(line)["file"] for line in out.read_bytes().splitlines()] == [
        named[0], *[named[1]] * 3,
    ]  # fmt: skip
