"""Answers to one text and to files of papers, in order, with errors in place of bad lines."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.data import batches, readers
from shelfmark.errors import ShelfmarkError
from shelfmark.models import answers, artifact, predict
from tests.support import records

ROBOT = "We train a robot arm for grasping with motion planning."
GALAXY = "Star formation and dust in a galaxy with a massive halo."
PRIOR = "Variational inference of the posterior of a Bayesian prior."


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "models" / "quick"


def answered(folder: Path, source: Path, out: Path, **more: Any) -> list[dict[str, Any]]:
    predict.predict_file(folder, str(source), str(out), **more)
    return [orjson.loads(line) for line in out.read_bytes().splitlines()]


def test_a_line_holds_what_is_answered(folder: Path, model: artifact.Model, tmp_path: Path) -> None:
    papers = [{"title": "Robots", "abstract": ROBOT}, {"text": GALAXY}, {"text": PRIOR}]
    (tmp_path / "in.jsonl").write_bytes(records.lines(papers))
    out = tmp_path / "out.jsonl"
    parts = [(paper.get("title", ""), paper.get("text", ROBOT)) for paper in papers]
    for explain in (False, True):
        given = answered(folder, tmp_path / "in.jsonl", out, top_k=2, explain=explain)
        wanted = answers.answer_papers(model, parts, top_k=2, explain=explain)
        places = [{"line": number, "id": None} for number in (1, 2, 3)]
        assert [line | {"model": model.version} for line in given] == [
            orjson.loads(orjson.dumps(place | one.to_json()))
            for place, one in zip(places, wanted, strict=True)
        ]
        assert not [line for line in given if "model" in line]


def test_text_lines(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(f"{ROBOT}\n\n{{not json, a text}}\n{GALAXY}", encoding="utf-8")
    lines = answered(folder, tmp_path / "in.txt", tmp_path / "out.jsonl", top_k=2)
    assert [line["line"] for line in lines] == [1, 3, 4]
    assert lines[0]["category"] == "cs.RO"
    assert "category" in lines[1]
    assert lines[2]["category"] == "astro-ph.GA"
    assert len(lines[0]["ranking"]) == 2


def test_json_lines_with_bad_ones_in_their_place(folder: Path, tmp_path: Path) -> None:
    records = [
        {"id": "1701.00001", "title": "Robots", "abstract": ROBOT, "categories": "cs.RO"},
        {"id": 7, "text": GALAXY},
        {"id": "x", "title": "", "abstract": None},
        {"id": "y", "text": 3},
        {"summary": ROBOT},
    ]
    content = [orjson.dumps(record) for record in records]
    content[1:1] = [b"{broken", b"[1]"]
    with gzip.open(tmp_path / "in.jsonl.gz", "wb") as file:
        file.write(b"\n".join(content) + b"\n")
    lines = answered(folder, tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl")
    assert [line.get("id") for line in lines] == ["1701.00001", None, None, "7", "x", "y", None]
    assert "broken JSON" in lines[1]["error"]
    assert "not an object" in lines[2]["error"]
    assert lines[4]["error"] == "no text: give text, or title and abstract"
    assert lines[5]["error"] == "text or abstract is int, not text"
    assert lines[6]["category"] == "cs.RO"


def test_csv_and_parquet(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        f'id,title,summary\n1,"Robots, again","{ROBOT}\nsecond line"\n2,,\n3,Galaxies,{GALAXY}\n',
        encoding="utf-8",
    )
    lines = answered(folder, tmp_path / "in.csv", tmp_path / "csv.jsonl")
    assert [line.get("category") for line in lines] == ["cs.RO", None, "astro-ph.GA"]
    table = pa.table({"id": ["a", "b"], "title": ["", "Galaxies"], "abstract": [ROBOT, GALAXY]})
    pq.write_table(table, tmp_path / "in.parquet")
    lines = answered(folder, tmp_path / "in.parquet", tmp_path / "parquet.jsonl")
    assert [(line["id"], line["category"]) for line in lines] == [
        ("a", "cs.RO"),
        ("b", "astro-ph.GA"),
    ]


def test_a_long_file_is_shared_among_processes_and_answered_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [ROBOT, GALAXY, "", '{"id": 5, "text": "a galaxy"}', '{"broken'] * 100
    (tmp_path / "papers").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(readers, "BATCH", 64)
    alone = answered(folder, tmp_path / "papers", tmp_path / "alone.jsonl")
    assert [line["line"] for line in alone] == [n for n in range(1, 501) if n % 5 != 3]
    wanted = ["cs.RO", "astro-ph.GA", "astro-ph.GA", None] * 100
    assert [line.get("category") for line in alone] == wanted
    monkeypatch.setattr(batches, "WORTH_DISTRIBUTING", 2)
    assert answered(folder, tmp_path / "papers", tmp_path / "shared.jsonl") == alone
    with pytest.raises(ShelfmarkError, match="no model in"):
        answered(tmp_path, tmp_path / "papers", tmp_path / "none.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {"papers", "alone.jsonl", "shared.jsonl"}


def test_standard_input_and_output(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any
) -> None:
    (tmp_path / "in").write_text(f'{{"text": "{ROBOT}"}}\n{GALAXY}\n')
    with (tmp_path / "in").open() as piped:
        monkeypatch.setattr(sys, "stdin", piped)
        predict.predict_file(folder, "-", "-")
    lines = [orjson.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [line["category"] for line in lines] == ["cs.RO", "astro-ph.GA"]


def test_one_text(folder: Path, capsysbinary: Any) -> None:
    predict.predict_text(folder, ROBOT, "-", 1)
    assert orjson.loads(capsysbinary.readouterr().out)["category"] == "cs.RO"
    with pytest.raises(ShelfmarkError, match="--text: no text"):
        predict.predict_text(folder, "  ", "-")
    with pytest.raises(ShelfmarkError, match="--top-k: 0"):
        predict.predict_text(folder, ROBOT, "-", 0)


def test_a_damaged_input_leaves_the_old_output(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("the old answers")
    whole = gzip.compress(f"{ROBOT}\n".encode() * 5000)
    (tmp_path / "cut.txt.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ShelfmarkError, match=r"cut\.txt\.gz: damaged or truncated"):
        answered(folder, tmp_path / "cut.txt.gz", out)
    assert out.read_text() == "the old answers"
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "cut.txt.gz"}


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("no.csv", "a,b\n1,2\n", "has no column text, title, abstract or summary, only a, b"),
        ("no.parquet", "PAR1 and no more", "not a readable Parquet file"),
        ("empty.txt", "", "is empty"),
        (None, "", "there is no file"),
    ],
)
def test_a_file_that_cannot_be_read(
    folder: Path, tmp_path: Path, name: str | None, content: str, line: str
) -> None:
    source = tmp_path / (name or "nothing.txt")
    if name:
        source.write_text(content)
    with pytest.raises(ShelfmarkError, match=line):
        answered(folder, source, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_an_output_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ShelfmarkError, match="cannot write"):
        predict.predict_text(folder, ROBOT, str(tmp_path / "file" / "out.jsonl"))
