"""Predictions are written as the name of the output says, or it is refused before the work."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.core.output import sinks
from shelfmark.core.output.compression import COMPRESSORS
from shelfmark.data import batches, readers
from shelfmark.errors import OutputClosedError, ShelfmarkError
from shelfmark.models import predict, writing
from tests.support import records

POSIX = pytest.mark.skipif(os.name == "nt", reason="links, pipes and devices of POSIX")
ROBOT = "We train a robot arm for grasping with motion planning."
GALAXY = "Star formation and dust in a galaxy with a massive halo."
PAPERS = [
    {"id": "0704.0021", "title": "Robots", "abstract": ROBOT},
    {"id": "=cmd|' /C calc'!A0", "text": ""},
    {"id": 'a "quoted",\ttab', "text": GALAXY},
    {"id": "-5", "text": 3},
    {"text": f"{ROBOT} {GALAXY}"},
]
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": lambda packed: pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read(),
}
KINDS = (*writing.JSON_LINES, *writing.SEPARATORS)


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "models" / "quick"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "papers.jsonl"
    path.write_bytes(records.lines(PAPERS))
    return path


@pytest.fixture(scope="module")
def lines(home: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The predictions as JSON lines, with explanations."""
    place = tmp_path_factory.mktemp("wanted")
    (place / "papers.jsonl").write_bytes(records.lines(PAPERS))
    source, out = str(place / "papers.jsonl"), place / "out"
    predict.predict_file(home / "models" / "quick", source, str(out), explain=True)
    return [orjson.loads(line) for line in out.read_bytes().splitlines()]


def read_table(content: bytes, separator: str) -> list[dict[str, str]]:
    text = io.StringIO(content.decode(), newline="")
    return list(csv.DictReader(text, delimiter=separator, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", UNPACK)
def test_each_suffix_is_heeded(
    folder: Path, source: Path, tmp_path: Path, lines: list[dict[str, Any]], kind: str,
    compression: str,
) -> None:  # fmt: skip
    out = tmp_path / f"new.folder/out{kind}{compression}".replace("jsonl", "JSONL")
    predict.predict_file(folder, str(source), str(out), explain=True)
    content = UNPACK[compression](out.read_bytes())
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    if kind in writing.JSON_LINES:
        assert [orjson.loads(line) for line in content.splitlines()] == lines
        return
    rows = read_table(content, writing.SEPARATORS[kind])
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        require_same(row, line)


def require_same(row: dict[str, str], line: dict[str, Any]) -> None:
    """Check that a row of a table holds a line of JSON."""
    assert row["line"] == str(line["line"])
    ident = str(line.get("id") or "")
    assert row["id"] == (f"'{ident}" if ident.startswith("=") else ident)
    assert row["error"] == line.get("error", "")
    for name in ("category", "name", "archive", "group"):
        assert row[name] == (line.get(name) or "")
    if "error" in line:
        assert not any(row[name] for name in row if name not in ("line", "id", "error"))
        return
    assert float(row["confidence"]) == line["confidence"]
    assert row["confident"] == str(line["confident"]).lower()
    assert row["second_category"] == line["ranking"][1]["category"]
    assert float(row["second_confidence"]) == line["ranking"][1]["probability"]
    for name in writing.NESTED:
        assert orjson.loads(row[name]) == line[name]


@pytest.mark.parametrize("name", ["out.parquet", "out.PARQUET"])
def test_parquet_has_lists_and_structs(
    folder: Path, source: Path, tmp_path: Path, lines: list[dict[str, Any]], name: str
) -> None:
    predict.predict_file(folder, str(source), str(tmp_path / name), explain=True)
    rows = pq.read_table(tmp_path / name).to_pylist()
    assert [row["id"] for row in rows] == [line.get("id") for line in lines]
    for row, line in zip(rows, lines, strict=True):
        ranking = line.get("ranking", [{}, {}])
        second = (ranking[1].get("category"), ranking[1].get("probability"))
        assert (row.pop("second_category"), row.pop("second_confidence")) == second
        assert row.pop("listed_verdict") == line.get("listed", {}).get("verdict")
        assert {key: value for key, value in row.items() if value is not None} == {
            key: value for key, value in line.items() if value is not None and key != "listed"
        }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_without_explanations_there_is_no_column_of_them(
    folder: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    predict.predict_text(folder, ROBOT, str(out), top_k=1)
    if suffix == ".csv":
        (row,) = read_table(out.read_bytes(), ",")
        assert tuple(row) == (*writing.FLAT, "ranking", "cross_lists")
        assert (row["category"], row["second_category"]) == ("cs.RO", "")
    else:
        names = pq.read_schema(out).names
        assert names == [*writing.FLAT, "ranking", "cross_lists"]


def test_a_long_file_is_the_same_from_several_processes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "BATCH", 16)
    (tmp_path / "papers").write_text("\n".join([ROBOT, GALAXY, ""] * 40))
    contents = []
    for worth in (100, 2):
        monkeypatch.setattr(batches, "WORTH_DISTRIBUTING", worth)
        out = tmp_path / f"{worth}.parquet"
        predict.predict_file(folder, str(tmp_path / "papers"), str(out))
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]


def test_row_groups_bound_the_rows_that_are_held(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "BATCH", 8)
    monkeypatch.setattr(sinks, "GROUP_BYTES", 8000)
    (tmp_path / "papers").write_text("\n".join([ROBOT, GALAXY] * 50))
    predict.predict_file(folder, str(tmp_path / "papers"), str(tmp_path / "out.parquet"))
    file = pq.ParquetFile(tmp_path / "out.parquet")
    sizes = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert sum(sizes) == 100
    assert len(sizes) > 3
    assert min(sizes[:-1]) > 8, "a group holds several batches"
    assert file.read(["line"])["line"].to_pylist() == list(range(1, 101))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl.gz"])
def test_a_failure_leaves_the_old_output(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(readers, "BATCH", 8)
    monkeypatch.setattr(batches, "WORTH_DISTRIBUTING", 10_000)
    out = tmp_path / f"out{suffix}"
    out.write_text("old")
    noise = random.Random(5)  # which is unpacked in many pieces, the last of them cut
    whole = gzip.compress(b"".join(b"%x\n" % noise.getrandbits(4000) for _ in range(500)))
    (tmp_path / "cut.txt.gz").write_bytes(whole[:-2000])
    with pytest.raises(ShelfmarkError, match="damaged or truncated"):
        predict.predict_file(folder, str(tmp_path / "cut.txt.gz"), str(out))
    assert out.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {out.name, "cut.txt.gz"}


@pytest.mark.parametrize(
    "name",
    ["a.txt", "a.zip", "a.csv.zip", "a.xlsx", "a.feather", "a.ARROW", "a.jsonl.gz.gz", "a.tar.gz",
     "a.tgz", "a.csv.lz4", "a.2024", "a.jsonl.old", "a.html", "a.pdf.gz"],
)  # fmt: skip
def test_any_other_suffix_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    for call in (predict.predict_text, predict.predict_file):
        with pytest.raises(ShelfmarkError) as caught:
            call(tmp_path / "no model", "no file", str(tmp_path / name))
        assert name in str(caught.value)
        assert "no suffix (JSON lines), .csv, .tsv, each also with .gz, " in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((f"a.parquet{suffix}", "compressed already") for suffix in COMPRESSORS),
        ("", "the name is empty"),
        ("folder/", "is a folder"),
        ("gs://bucket/a.jsonl", "is an address: write to a local file"),
    ],
)
def test_a_name_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ShelfmarkError, match=f"^--out: .*{reason}"):
        predict.predict_file(tmp_path / "no model", "no file", name)
    assert list(tmp_path.iterdir()) == []


@POSIX
@pytest.mark.parametrize("name", ["itself", "link", "chain", "hard link", "other spelling"])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_the_input_is_never_the_output(tmp_path: Path, name: str, suffix: str) -> None:
    source = tmp_path / f"papers{suffix}"
    source.write_bytes(b"content")
    out = tmp_path / f"out{suffix}"
    if name == "hard link":
        out.hardlink_to(source)
    elif name == "chain":
        (tmp_path / "between").symlink_to(source)
        out.symlink_to("between")
    elif name == "link":
        out.symlink_to(source)
    else:
        (tmp_path / "folder").mkdir()
        out = source if name == "itself" else tmp_path / "folder" / ".." / source.name
    before = {path.name for path in tmp_path.iterdir()}
    for one, other in ((source, out), (out, source)):
        with pytest.raises(ShelfmarkError, match=r"^--out: .* is the file that is read \(.*\): "):
            predict.predict_file(tmp_path / "no model", str(one), str(other))
    assert source.read_bytes() == b"content"
    assert {path.name for path in tmp_path.iterdir()} == before


REDIRECTED = """
import sys
from pathlib import Path
from shelfmark.core import console
from shelfmark.models import predict

with console.one_line_errors():
    predict.predict_file(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
"""


@POSIX
@pytest.mark.parametrize(
    ("file", "out", "redirection"),
    [
        ("-", "papers.jsonl", "<papers.jsonl"),
        ("/dev/stdin", "papers.jsonl", "<papers.jsonl"),
        ("papers.jsonl", "-", ">>papers.jsonl"),
        ("papers.jsonl", "/dev/stdout", ">>papers.jsonl"),
        ("papers.jsonl", "/dev/fd/5", "5>>papers.jsonl"),
        ("-", "-", "<papers.jsonl >>papers.jsonl"),
    ],
)
def test_nor_is_it_by_a_redirection(
    tmp_path: Path, source: Path, file: str, out: str, redirection: str
) -> None:
    before = source.read_bytes()
    words = [sys.executable, "-c", REDIRECTED, "no model", file, out]
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirection}', "bash", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: --out: ")
    assert "is the file that is read" in done.stderr
    assert done.stderr.count("\n") == 1
    assert source.read_bytes() == before


@POSIX
@pytest.mark.parametrize("device", ["/dev/null", "terminal"])
def test_a_device_may_be_both(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from shelfmark.core.output import targets

    if device == "terminal":
        ours, theirs = os.openpty()
        device = os.ttyname(theirs)
    targets.require_apart(device, [device])
    if device != "/dev/null":
        os.close(ours)
        os.close(theirs)


@POSIX
@pytest.mark.parametrize("suffix", ["", ".csv", ".jsonl.gz", ".parquet"])
def test_a_pipe_takes_every_format(folder: Path, source: Path, tmp_path: Path, suffix: str) -> None:
    predict.predict_file(folder, str(source), str(tmp_path / f"wanted{suffix}"))
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    thread.start()
    predict.predict_file(folder, str(source), str(pipe))
    thread.join()
    assert read == [(tmp_path / f"wanted{suffix}").read_bytes()]
    assert pipe.is_fifo()


@POSIX
@pytest.mark.parametrize("suffix", ["", ".csv", ".jsonl.gz", ".parquet"])
def test_a_pipe_whose_reader_ends(folder: Path, tmp_path: Path, suffix: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    link = tmp_path / f"link{suffix}"
    link.symlink_to(f"/dev/fd/{writer}")
    with pytest.raises(OutputClosedError):
        predict.predict_text(folder, ROBOT, str(link), explain=True)
    os.close(writer)


@POSIX
@pytest.mark.skipif(sys.platform != "linux", reason="the number of a device of Linux")
@pytest.mark.parametrize("suffix", ["", ".csv", ".jsonl.xz", ".tsv.zst", ".parquet"])
def test_a_full_device_is_one_line(folder: Path, tmp_path: Path, suffix: str) -> None:
    device = tmp_path / f"full{suffix}"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 7))
    except PermissionError:
        pytest.skip("only root may make devices")
    with pytest.raises(ShelfmarkError, match="^cannot write .*full.*: No space left on device$"):
        predict.predict_text(folder, ROBOT, str(device))
    assert stat.S_ISCHR(device.lstat().st_mode)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".json.xz", ".zst", ".ndjson.bz2"])
def test_what_is_written_is_read_again(
    folder: Path, source: Path, tmp_path: Path, suffix: str
) -> None:
    out, again = tmp_path / f"out{suffix}", tmp_path / "again"
    predict.predict_file(folder, str(source), str(out), explain=True)
    predict.predict_file(folder, str(out), str(again))
    lines = [orjson.loads(line) for line in again.read_bytes().splitlines()]
    assert [line.get("id") for line in lines] == [paper.get("id") for paper in PAPERS]
    assert {line["error"] for line in lines} == {"no text: give text, or title and abstract"}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".tsv.zst", ".parquet"])
def test_a_table_of_predictions_has_no_papers(
    folder: Path, source: Path, tmp_path: Path, suffix: str
) -> None:
    predict.predict_file(folder, str(source), str(tmp_path / f"out{suffix}"), explain=True)
    with pytest.raises(ShelfmarkError, match="no column text, title, abstract or summary"):
        predict.predict_file(folder, str(tmp_path / f"out{suffix}"), str(tmp_path / "again"))
    assert not (tmp_path / "again").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no UTF-8")
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_the_name_of_a_file_may_be_no_text(folder: Path, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in").mkdir()
    for name in (b"a.txt", b"caf\xe9.txt"):
        (tmp_path / "in" / os.fsdecode(name)).write_text(ROBOT)
    out = tmp_path / f"out{suffix}"
    predict.predict_file(folder, str(tmp_path / "in"), str(out))
    if suffix == ".parquet":
        names = pq.read_table(out)["file"].to_pylist()
    elif suffix == ".csv":
        names = [row["file"] for row in read_table(out.read_bytes(), ",")]
    else:
        names = [orjson.loads(line)["file"] for line in out.read_bytes().splitlines()]
    assert [Path(name).name for name in names] == ["a.txt", "caf\ufffd.txt"]
