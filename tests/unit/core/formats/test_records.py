"""What a file holds is settled by its first bytes, and its records are read alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.core.formats import streams
from shelfmark.core.formats.csv_rows import NOT_UTF8, BadRow
from shelfmark.core.formats.records import open_records
from shelfmark.errors import ShelfmarkError
from tests.support.packing import PACKERS

TEXTS = ("text", "title", "abstract")
COLUMNS = ("id", *TEXTS)
PAPERS = [{"id": "1", "text": "a robot"}, {"id": "2", "text": "a galaxy"}]


def written(kind: str) -> bytes:
    """Return the papers in a form."""
    table = pa.Table.from_pylist(PAPERS)
    sink = pa.BufferOutputStream()
    if kind == "Parquet":
        pq.write_table(table, sink)
    elif kind in ("Arrow", "Arrow stream"):
        new = pa.ipc.new_file if kind == "Arrow" else pa.ipc.new_stream
        with new(sink, table.schema) as writer:
            writer.write_table(table)
    elif kind in (",", ";", "\t"):
        return f"id{kind}text\n1{kind}a robot\n2{kind}a galaxy\n".encode()
    else:
        return {
            "lines": b"\n".join(map(orjson.dumps, PAPERS)),
            "array": orjson.dumps(PAPERS),
            "indented array": orjson.dumps(PAPERS, option=orjson.OPT_INDENT_2),
            "indented": "\n".join(json.dumps(paper, indent=1) for paper in PAPERS).encode(),
        }[kind]
    return bytes(sink.getvalue().to_pybytes())


KINDS = ["lines", "array", "indented array", "indented", "Parquet", "Arrow", "Arrow stream",
         ",", ";", "\t"]  # fmt: skip


def read(path: Path | None) -> list[Any]:
    with open_records(path, COLUMNS, TEXTS) as records:
        return [orjson.loads(x) if isinstance(x, bytes) else x for _, x in records]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["", ".txt", ".dat", ".json", ".gz", ".csv", ".parquet"])
def test_a_kind_is_known_under_any_name(tmp_path: Path, kind: str, suffix: str) -> None:
    (tmp_path / f"papers{suffix}").write_bytes(written(kind))
    assert read(tmp_path / f"papers{suffix}") == PAPERS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packing", PACKERS)
def test_a_kind_is_known_in_any_packing(tmp_path: Path, kind: str, packing: str) -> None:
    (tmp_path / "papers").write_bytes(PACKERS[packing](written(kind)))
    assert read(tmp_path / "papers") == PAPERS


@pytest.mark.parametrize("kind", [*KINDS, "packed"])
@pytest.mark.parametrize("redirected", [True, False])
def test_standard_input_is_read_as_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, redirected: bool
) -> None:
    content = PACKERS[".gz"](written("lines")) if kind == "packed" else written(kind)
    (tmp_path / "papers").write_bytes(content)
    if redirected:
        with (tmp_path / "papers").open() as given:
            monkeypatch.setattr(sys, "stdin", given)
            assert read(None) == PAPERS
        return
    copy = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    command = [sys.executable, "-c", copy, str(tmp_path / "papers")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as piping:
        monkeypatch.setattr(sys, "stdin", piping.stdout)
        assert read(None) == PAPERS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("kind", ["lines", "indented array", ";"])
def test_a_kind_is_known_in_any_encoding(tmp_path: Path, kind: str, encoding: str) -> None:
    text = written(kind).decode().replace("robot", "Poincaré robot")
    (tmp_path / "papers").write_bytes(text.encode(encoding))
    assert read(tmp_path / "papers")[0]["text"] == "a Poincaré robot"


def test_files_with_byte_order_marks_joined_to_one(tmp_path: Path) -> None:
    lines = [f"\ufeff{json.dumps(paper)}\n" for paper in PAPERS]
    (tmp_path / "papers.jsonl").write_text("".join(lines))
    assert read(tmp_path / "papers.jsonl") == PAPERS


def test_a_letter_that_begins_as_a_mark_does_is_kept(tmp_path: Path) -> None:
    (tmp_path / "papers").write_text("\uff08a\uff09 robot\n")
    assert read(tmp_path / "papers") == [{"text": "\uff08a\uff09 robot\n"}]


def test_json_text_sequences(tmp_path: Path) -> None:
    (tmp_path / "papers.json").write_bytes(b"".join(b"\x1e%b\n" % orjson.dumps(x) for x in PAPERS))
    assert read(tmp_path / "papers.json") == PAPERS


def test_json_among_lines_of_text_and_text_among_json(tmp_path: Path) -> None:
    (tmp_path / "papers").write_bytes(b'a robot\n{"text": "x"}\n{\\bf A} galaxy\n\n{"broken\n')
    with open_records(tmp_path / "papers", COLUMNS, TEXTS) as records:
        assert list(records) == [
            (1, {"text": "a robot\n"}),
            (2, b'{"text": "x"}\n'),
            (3, {"text": "{\\bf A} galaxy\n"}),
            (5, b'{"broken\n'),
        ]
    (tmp_path / "papers").write_bytes(b'{"text": "x"}\na robot\n')
    assert read(tmp_path / "papers") == [{"text": "x"}, {"text": "a robot\n"}]


def test_an_array_of_texts_is_no_line_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b'["a robot", "a galaxy"]\n[1] a robot\n[a, b] a galaxy\n')
    with open_records(tmp_path / "a.txt", COLUMNS, TEXTS) as records:
        found = [record for _, record in records]
    assert found == [b'["a robot", "a galaxy"]\n', {"text": "[1] a robot\n"},
                     {"text": "[a, b] a galaxy\n"}]  # fmt: skip


def test_a_broken_first_line_makes_no_array(tmp_path: Path) -> None:
    (tmp_path / "papers.jsonl").write_bytes(b'{"text": "cut,\n{"text": "x"}\n[1]\n')
    with open_records(tmp_path / "papers.jsonl", COLUMNS, TEXTS) as records:
        assert list(records) == [(1, b'{"text": "cut,\n'), (2, b'{"text": "x"}\n'), (3, b"[1]\n")]


def test_the_sign_that_dos_wrote_at_the_end_is_no_paper(tmp_path: Path) -> None:
    (tmp_path / "papers").write_bytes(b"a robot\r\n\x1a")
    assert read(tmp_path / "papers") == [{"text": "a robot\n"}]


def test_a_line_of_text_that_is_not_utf8_is_refused_alone(tmp_path: Path) -> None:
    (tmp_path / "papers").write_bytes("é è ü\n".encode() + b"a \xe9\nb\n")
    assert read(tmp_path / "papers")[1:] == [BadRow(NOT_UTF8), {"text": "b\n"}]


@pytest.mark.parametrize("kind", ["Parquet", "Arrow", "Arrow stream"])
def test_names_of_a_table_are_compared_without_case_and_blanks(tmp_path: Path, kind: str) -> None:
    table = pa.table({" ID": ["1"], "Te Xt": ["a robot"], "other": [1]})
    sink = pa.BufferOutputStream()
    if kind == "Parquet":
        pq.write_table(table, sink)
    else:
        new = pa.ipc.new_file if kind == "Arrow" else pa.ipc.new_stream
        with new(sink, table.schema) as writer:
            writer.write_table(table)
    (tmp_path / "a").write_bytes(sink.getvalue().to_pybytes())
    assert read(tmp_path / "a") == PAPERS[:1]


def test_text_that_a_table_holds_as_bytes_is_text(tmp_path: Path) -> None:
    table = pa.table({"id": [b"1", b"2", b"3"], "text": [b"a robot", b"a \xe9", None]})
    pq.write_table(table, tmp_path / "a")
    assert read(tmp_path / "a") == [PAPERS[0], BadRow(NOT_UTF8), {"id": "3", "text": None}]


def test_a_date_that_no_calendar_has_is_one_line(tmp_path: Path) -> None:
    dates = pa.array([1 << 30], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"text": dates}), tmp_path / "a")
    with pytest.raises(ShelfmarkError, match="not a readable Parquet file"):
        read(tmp_path / "a")


@pytest.mark.parametrize("kind", ["Parquet", "Arrow", "Arrow stream"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_table_that_is_cut_is_one_line(tmp_path: Path, kind: str, share: float) -> None:
    content = written(kind)
    (tmp_path / "a").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ShelfmarkError, match=f"/a: not a readable {kind} file") as caught:
        read(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_a_named_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ShelfmarkError, match="pipe: not a regular file"):
        read(tmp_path / "pipe")


def test_a_text_without_line_ends_is_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LONGEST_LINE", 1000)
    (tmp_path / "papers").write_bytes(b"a robot\n" + b"a galaxy " * 1000)
    with pytest.raises(ShelfmarkError, match="papers: line 2 has more than 1,000 bytes"):
        read(tmp_path / "papers")
    (tmp_path / "papers").write_bytes(b"x" * 999 + b"\n")
    assert len(read(tmp_path / "papers")) == 1
